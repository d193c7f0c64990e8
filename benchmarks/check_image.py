"""The Dockerfile's steps in a Debian root, and a run that is started on the image's page and stopped as `docker stop` does.

    .venv/bin/python benchmarks/check_image.py [--folder DIR]

Docker is not needed, but root, debootstrap, Rust and Chromium. FROM is a root that debootstrap makes, with a virtual environment in
/usr/local that stands for the official image of Python, and this machine's Rust toolchain. RUN, COPY, ENV, USER, WORKDIR, ENTRYPOINT
and CMD are those of the Dockerfile. The container is a chroot with namespaces of its own for processes, mounts and the network, which is
its loopback alone. SIGTERM goes to its process 1. A second container finishes the run. Ends with 1 when a read is lost or paid for twice,
or when the exit codes and the stored states are wrong. With --folder everything is kept there, and a Debian root that is there is used
again.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from playwright.sync_api import expect, sync_playwright

from harness import POLL_S, print_table  # also puts tests/ on the path

from fix_page import CHROMIUM, FLAGS, SLOW, button, says, unlock  # isort: skip

ROOT = Path(__file__).parents[1]
SUITE = "bookworm"
PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
INSIDE = "--inside"  # this program again, in its namespaces
NETWORK = ("PIP_DEFAULT_TIMEOUT", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
STARTED_ON_THE_PAGE, STORED_BEFORE_THE_STOP, GRACE_S = "demo", 200, 60.0
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
MOUNTS = """
set -e
mount -t proc proc "$1/proc"
mount -t tmpfs -o size=64m tmpfs "$1/dev"
mkdir -p "$1/dev/shm" "$1/dev/pts"; chmod 1777 "$1/dev/shm"
for name in null zero full random urandom tty; do : > "$1/dev/$name"; mount --bind "/dev/$name" "$1/dev/$name"; done
ln -s /proc/self/fd "$1/dev/fd"
folder=$2; user=$3; root=$1; shift 3
exec chroot --userspec="$user" "$root" /usr/bin/env -i "$@"
"""


@dataclass
class Stage:
    image: str
    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    command: dict[str, list[str]] = field(default_factory=dict)  # ENTRYPOINT and CMD

    def run(self, words: list[str], *, user: str | None = None, **more: str) -> list[str]:
        """The command line that runs ``words`` in this root."""
        environment = {"HOME": "/root" if (user or self.user) == "0:0" else "/home/helix", **self.environment, **more}
        environment.setdefault("PATH", PATH)
        inside = ["sh", "-c", f"cd {self.folder} && exec {shlex.join(words)}"]
        pairs = [f"{name}={value}" for name, value in environment.items()]
        spaces = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", MOUNTS, "sh"]
        return [*spaces, str(self.root), self.folder, user or self.user, *pairs, *inside]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    missing = [name for name in ("debootstrap", "unshare", "chroot", "rustup", CHROMIUM) if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        sys.exit(f"missing: {', '.join(missing) or 'the rights of root'}")
    folder = options.folder.resolve() if options.folder else Path(tempfile.mkdtemp(prefix="helix-image-"))
    folder.mkdir(mode=0o755, exist_ok=True)
    folder.chmod(0o755)
    try:
        rows: list[list[object]] = []
        final = build(folder, rows)
        print_table(["step", "s"], rows)
        print(f"{len(rows)} steps, {sum(float(str(row[1])) for row in rows):.0f} s")
        sizes(folder, final)
        # The rest is alone with its loopback: the page listens on every address that there is.
        state = folder / "final.json"
        state.write_text(json.dumps([final.environment, final.folder, final.user, final.command]))
        sys.exit(subprocess.run(["unshare", "--net", sys.executable, __file__, INSIDE, "--folder", str(folder)], check=False).returncode)
    finally:
        if not options.folder:
            shutil.rmtree(folder, ignore_errors=True)


# --- building --------------------------------------------------------------------------------------------------------------------


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Of a Dockerfile: lines that go on are joined, comments left out."""
    lines = "\n".join(line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", " ", lines).splitlines():
        word, _, rest = line.strip().partition(" ")
        yield word.upper(), rest.strip()


def build(folder: Path, rows: list[list[object]]) -> Stage:
    stages: dict[str, Stage] = {}
    stage = Stage("", folder)
    for word, rest in instructions((ROOT / "Dockerfile").read_text()):
        began = time.monotonic()
        match word:
            case "FROM":
                image, _, name = rest.partition(" AS ")
                stage = stages[name] = Stage(image, folder / (name or "final"))
                stand_in(stage, folder)
            case "ENV":
                for name, _, value in (pair.partition("=") for pair in shlex.split(rest)):
                    stage.environment[name] = value.replace("$PATH", stage.environment.get("PATH", PATH))
            case "WORKDIR":
                stage.folder = rest
                inside_of(stage.root, rest).mkdir(parents=True, exist_ok=True)
            case "USER":
                stage.user = rest
            case "COPY":
                copy(stage, stages, rest)
            case "RUN":
                in_build(stage, rest)
            case "ENTRYPOINT" | "CMD":
                stage.command[word] = json.loads(rest)
            case "VOLUME" | "EXPOSE" | "STOPSIGNAL" | "HEALTHCHECK":
                pass
            case _:
                sys.exit(f"{word} is not known to this check")
        rows.append([f"{word} {rest}"[:80], f"{time.monotonic() - began:.1f}"])
        print(f"{rows[-1][1]:>7} s  {rows[-1][0]}", flush=True)
    return stage


def inside_of(root: Path, *path: str) -> Path:
    return root / str(Path(*path)).lstrip("/")


def in_build(stage: Stage, command: str) -> None:
    passed = {name: os.environ[name] for name in NETWORK if name in os.environ}
    subprocess.run(stage.run(["sh", "-ec", command], **passed, DEBIAN_FRONTEND="noninteractive"), check=True, stdout=sys.stderr)


def stand_in(stage: Stage, folder: Path) -> None:
    if stage.root.exists():
        shutil.rmtree(stage.root)
    if stage.image.startswith("rust:"):
        toolchain = subprocess.run(["rustup", "show", "active-toolchain"], check=True, capture_output=True, text=True).stdout.split()[0]
        rustup, cargo = (
            Path(os.environ.get(name, Path.home() / default)) for name, default in (("RUSTUP_HOME", ".rustup"), ("CARGO_HOME", ".cargo"))
        )
        target = stage.root / "usr/local/rustup"
        (target / "toolchains").mkdir(parents=True)
        shutil.copy(rustup / "settings.toml", target)
        linked(rustup / "toolchains" / toolchain, target / "toolchains" / toolchain)
        linked(cargo, stage.root / "usr/local/cargo")
        return
    base = folder / "base"
    if not (base / "usr/local/bin/pip").exists():
        shutil.rmtree(base, ignore_errors=True)
        packages = "--include=python3,python3-venv,ca-certificates"
        subprocess.run(["debootstrap", "--variant=minbase", packages, SUITE, str(base)], check=True, stdout=subprocess.DEVNULL)
        for path in (Path("etc/hosts"), Path("etc/resolv.conf"), AUTHORITIES.relative_to("/")):
            shutil.copy(Path("/") / path, base / path)
        in_build(Stage("", base), "python3 -m venv /usr/local && apt-get clean && rm -rf /var/lib/apt/lists/*")
    subprocess.run(["cp", "--archive", str(base), str(stage.root)], check=True)
    if "slim" not in stage.image:
        in_build(stage, "apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev > /dev/null")


def linked(source: Path, target: Path) -> None:
    """A copy; on one file system its files are hard links, since nothing changes them in place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    same = source.stat().st_dev == target.parent.stat().st_dev
    subprocess.run(["cp", "--archive", *(["--link"] if same else []), f"{source}/.", str(target)], check=True)


def copy(stage: Stage, stages: dict[str, Stage], rest: str) -> None:
    words = shlex.split(rest)
    options = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
    *sources, target = [word for word in words if not word.startswith("--")]
    to = inside_of(stage.root, stage.folder, target)
    if "from" in options:
        linked(inside_of(stages[options["from"]].root, sources[0]), to)
        return
    for path in context():
        for source in sources:
            if source == "." or path == Path(source) or Path(source) in path.parents:
                place = to / path if source == "." or target.endswith("/") else to
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, place, follow_symlinks=False)
                if "chmod" in options:
                    place.chmod(int(options["chmod"], 8))


def context() -> list[Path]:
    """The files that .dockerignore lets into the build: the last pattern wins that fits a file or a folder above it."""
    patterns = [line.strip() for line in (ROOT / ".dockerignore").read_text().splitlines() if line.strip() and not line.startswith("#")]

    def fits(path: Path, pattern: str) -> bool:
        return any(
            fnmatch.fnmatch(part.name if pattern.startswith("**/") else str(part), pattern.removeprefix("**/"))
            for part in (path, *path.parents)
        )

    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    chosen = []
    for path in map(Path, filter(None, listed.split("\0"))):
        last = [pattern for pattern in patterns if fits(path, pattern.removeprefix("!"))]
        if (not last or last[-1].startswith("!")) and (ROOT / path).exists():
            chosen.append(path)
    return chosen


def sizes(folder: Path, final: Stage) -> None:
    def megabytes(path: Path) -> int:
        return int(subprocess.run(["du", "-sm", str(path)], check=True, capture_output=True, text=True).stdout.split()[0])

    packages = next((final.root / "opt/helix/lib").glob("python3*/site-packages"))
    total, base, ours = (megabytes(path) for path in (final.root, folder / "base", final.root / "opt/helix"))
    print(f"the image's files: {total} MB, {ours} MB of them /opt/helix; the base alone: {base} MB")
    left = [path for path in (packages / "ray/jars", packages / "ray/rllib", packages / "pip") if path.exists()]
    left += [path for path in final.root.rglob("pip*") if path.parent.name in ("bin", "site-packages", "dist-packages")]
    if left:
        sys.exit(f"the image holds {', '.join(map(str, left))}")


# --- running ---------------------------------------------------------------------------------------------------------------------


@contextmanager
def container(stage: Stage, log: Path, words: list[str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    command = [*stage.command["ENTRYPOINT"], *(words or stage.command["CMD"])]
    with log.open("wb") as output:
        process = subprocess.Popen(stage.run(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            for first in psutil.Process(process.pid).children() if process.poll() is None else ():
                first.kill()  # and the kernel ends everything in the namespace of this process 1
            process.wait()


def inside(folder: Path) -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    environment, working, user, command = json.loads((folder / "final.json").read_text())
    stage = Stage("", folder / "final", environment, working, user, command)
    home, log = stage.root / "data", folder / "container.log"
    for path in home.iterdir():  # what an earlier check left
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with container(stage, log) as process:
        code = wait_for("the control code", lambda: re.search(r"Control code .*: (\S+)", log.read_text()), log)[1]
        wait_for("the page", lambda: "URL:" in log.read_text(), log)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page()
            page.set_default_timeout(SLOW)
            page.goto("http://127.0.0.1:8501/start")
            unlock(page, code)
            page.get_by_role("combobox").first.click()
            page.get_by_role("option", name=STARTED_ON_THE_PAGE, exact=True).click()
            button(page, "Start")
            expect(page.get_by_text(f"start {STARTED_ON_THE_PAGE}: process")).to_be_visible(timeout=SLOW)
            page.goto("http://127.0.0.1:8501/")
            says(page, "RUNNING", 2 * SLOW)
            browser.close()
        wait_for("rows", lambda: rows_of(stage.root) >= STORED_BEFORE_THE_STOP, log)
        first = next(process for process in psutil.Process(process.pid).children())
        stopped_at = time.monotonic()
        first.send_signal(signal.SIGTERM)
        exit_code = process.wait(GRACE_S)
        seconds = time.monotonic() - stopped_at
    (report_file,) = (home / "reports").glob("*.json")
    stopped = json.loads(report_file.read_text())
    print(f"SIGTERM to process 1 ({first.pid} outside): exit {exit_code} after {seconds:.1f} s; the run's report: {figures(stopped)}")
    with container(stage, folder / "resumed.log", ["helix", "run", "--resume", "last", "--no-progress"]) as process:
        resumed_code = process.wait(300)
    resumed = json.loads(report_file.read_text())
    print(f"resumed in a second container: exit {resumed_code}; {figures(resumed)}")
    kept = exit_code == resumed_code == 0 and (stopped["status"], resumed["status"]) == ("stopped", "complete")
    kept &= STORED_BEFORE_THE_STOP <= stopped["reads_stored"] < resumed["reads_stored"] == resumed["reads_requested"]
    kept &= not any(report[name] for report in (stopped, resumed) for name in ("lost", "duplicates", "reads_repaid", "possibly_billed"))
    return 0 if kept else 1


def figures(report: dict[str, object]) -> str:
    names = ("status", "reads_requested", "reads_stored", "lost", "duplicates", "reads_repaid", "possibly_billed")
    return ", ".join(f"{name} {report[name]}" for name in names)


def rows_of(root: Path) -> int:
    """In the embedded database, through its socket's path."""
    try:
        folder = (root / "data/postgres/postmaster.pid").read_text().splitlines()[4]
        with psycopg.connect(host=f"{root}{folder}", user="postgres", dbname="postgres", connect_timeout=2) as connection:
            return int(connection.execute("select count(*) from helix.reads").fetchone()[0])
    except (OSError, IndexError, psycopg.Error):
        return 0


def wait_for(what: str, found: Callable[[], Any], log: Path, timeout_s: float = 180.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (value := found()):
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {timeout_s:.0f} s; the container printed:\n{log.read_text()}")
        time.sleep(POLL_S)
    return value


if __name__ == "__main__":
    if INSIDE in sys.argv:
        sys.exit(inside(Path(sys.argv[-1]).resolve()))
    main()
