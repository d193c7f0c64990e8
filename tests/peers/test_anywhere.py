"""A whole short run in surroundings of every kind: it ends with 0, or with 2 and advice within ten seconds and nothing started.

A row of the table has one value of each of twelve factors; each pair of values of two factors is in at least `TIMES` rows. It needs
root, for namespaces and other users, and its rows are whole runs: `HELIX_PYTHONS=python3.12:python3.13` adds interpreters in which the
package's requirements are installed.
"""

import os
import pty
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

import psutil
import pytest

from helix_ray.environment.home import closed_folder
from helix_ray.storage.embedded import EmbeddedServer

pytestmark = [pytest.mark.peer, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SEED, TIMES = 7, 2
DEADLINE_S, REFUSED_WITHIN_S, GONE_WITHIN_S = 300, 10, 30
WITHOUT_ENTRY = 54321
PYTHONS = [sys.executable, *filter(None, os.environ.get("HELIX_PYTHONS", "").split(":"))]
FACTORS: dict[str, list[str]] = {
    "user": ["root", "with an entry", "without an entry", "without an entry, database made"],
    "tmpdir": ["short", "of 150 bytes", "unset"],
    "umask": ["022", "077"],
    "shm": ["the machine's", "64 MB"],
    "files": ["the machine's", "256"],
    "folder": ["writable", "read-only"],
    "path": ["plain", "with blanks, ü and 'quotes'"],
    "host name": ["the machine's", "unknown"],
    "network": ["the machine's", "loopback", "loopback without IPv6"],
    "locale": ["C.UTF-8", "C", "de_DE.ISO-8859-1", "missing"],
    "terminal": ["none", "80 columns", "dumb"],
    "python": [str(number) for number in range(len(PYTHONS))],
}
AROUND = {
    "SLURM_JOB_ID": "7", "NXF_TASK_WORKDIR": "/nonexistent", "CONDA_PREFIX": "/nonexistent", "PGSSLNEGOTIATION": "direct", "PGPORT": "1",
    "PGDATESTYLE": "German", "STREAMLIT_SERVER_PORT": "1", "OMP_NUM_THREADS": "none",
    "RAY_JOB_CONFIG_JSON_ENV_VAR": '{"runtime_env": {"working_dir": "/nonexistent"}}', "GRPC_VERBOSITY": "debug",
    "http_proxy": "http://127.0.0.1:1", "grpc_proxy": "http://127.0.0.1:1",
}  # fmt: skip
"""Of tools that may be around any run."""

Row = dict[str, str]
Pair = tuple[tuple[str, str], tuple[str, str]]  # two factors, each with a value


def pairs_of(factors: dict[str, list[str]]) -> list[Pair]:
    values = {factor: [(factor, value) for value in factors[factor]] for factor in factors}
    return [pair for one, other in combinations(factors, 2) for pair in product(values[one], values[other])]


def covered(row: Row) -> list[Pair]:
    return list(combinations(row.items(), 2))


def table(factors: dict[str, list[str]], times: int, seed: int) -> list[Row]:
    """Rows that cover each pair of values ``times`` times, found greedily: of many random rows the one that covers most is taken."""
    chance = random.Random(seed)
    left = Counter(dict.fromkeys(pairs_of(factors), times))
    rows: list[Row] = []
    while left := +left:
        (first, second), _ = left.most_common(1)[0]
        tries = [{**{name: chance.choice(values) for name, values in factors.items()}, **dict((first, second))} for _ in range(100)]
        best = max(tries, key=lambda row: sum(pair in left for pair in covered(row)))
        left.subtract(pair for pair in covered(best) if pair in left)
        rows.append(best)
    return rows


ROWS = table(FACTORS, TIMES, SEED)


def test_the_table_covers_every_pair() -> None:
    seen = Counter(pair for row in ROWS for pair in covered(row))
    assert min(seen[pair] for pair in pairs_of(FACTORS)) >= TIMES
    assert table(FACTORS, TIMES, SEED) == ROWS


@pytest.fixture(scope="module")
def locales() -> Iterator[Path]:
    """A folder with a locale whose encoding is not UTF-8."""
    with tempfile.TemporaryDirectory(prefix="locales-", dir="/tmp") as folder:
        made = Path(folder) / "de_DE.ISO-8859-1"
        subprocess.run(["localedef", "-i", "de_DE", "-f", "ISO-8859-1", made], check=True)
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        yield Path(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    """Open to all users, and with a short path."""
    folder = Path(tempfile.mkdtemp(prefix="any", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", folder], check=True)
    shutil.rmtree(folder)


def made_by_root_for(uid: int, home: Path) -> None:
    """A database of a user who cannot make one."""
    server = EmbeddedServer(home)
    server.join()
    server.leave()
    for path in [home, *home.rglob("*")]:
        os.chown(path, uid, uid, follow_symlinks=False)


def command(row: Row, place: Path, home: Path, locales: Path) -> list[str]:
    """The run, behind what makes its surroundings."""
    work, temporary = place / "work", place / ("t" if row["tmpdir"] == "short" else "slurm_jobdir/" + "n" * 130)
    for folder in (work, temporary):
        folder.mkdir(parents=True)
        folder.chmod(0o777)
    uid = {"root": 0, "with an entry": 65534}.get(row["user"], WITHOUT_ENTRY)
    python = PYTHONS[int(row["python"])]
    steps = ["set -e"]
    if (closed := closed_folder(Path(os.path.realpath(python)))) is not None:  # its interpreter is shown to other users, and nothing else
        inside = Path(os.path.realpath(python)).parents[1]
        steps += [f"mkdir {place}/python", f"mount --bind {inside} {place}/python", f"mount -t tmpfs -o mode=755 tmpfs {closed}"]
        steps += [f"mkdir -p {inside}", f"mount --bind {place}/python {inside}"]
    if row["shm"] == "64 MB":
        steps.append("mount -t tmpfs -o size=64m,mode=1777 tmpfs /dev/shm")
    if row["host name"] == "unknown":
        steps.append("hostname no-such-host-7")
    if row["network"] != "the machine's":
        steps.append("ip link set lo up")
    if row["network"] == "loopback without IPv6":
        steps.append("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
    if row["files"] == "256":
        steps.append("ulimit -n 256")
    if row["folder"] == "read-only":
        steps += [f"mount --bind {work} {work}", f"mount -o remount,bind,ro {work}"]
    steps += [f"cd {work}", f"umask {row['umask']}"]
    environment = {
        "PATH": "/usr/bin:/bin:/usr/sbin", "PYTHONPATH": str(ROOT), "HELIX_HOME": str(home), "LC_ALL": row["locale"],
        "LOCPATH": str(locales), **AROUND,
    }  # fmt: skip
    if row["tmpdir"] != "unset":
        environment["TMPDIR"] = str(temporary)
    if row["terminal"] != "none":
        environment["TERM"] = "dumb" if row["terminal"] == "dumb" else "xterm-256color"
    if row["locale"] == "missing":
        environment["LC_ALL"] = "xx_YY.UTF-16"
    elif row["locale"] == "C.UTF-8":
        del environment["LOCPATH"]
    if uid != WITHOUT_ENTRY:
        environment["HOME"] = "/root" if uid == 0 else "/nonexistent"
    given = [f"{name}={value}" for name, value in environment.items()]
    run = [python, "-P", "-m", "helix_ray.run", "--set", "source.count=20", "--set", "emulator.latency_scale=0"]
    run += ["--set", "source.producers=1", "--set", "analyzer.workers=1"]
    (work / "run").write_text(f"{shlex.join(run)}\nexit $?\n")
    shutil.copy("/bin/bash", place / "uv")  # below a process whose command is "uv run", Ray starts its workers by uv
    changed = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []
    steps.append("exec " + shlex.join([*changed, "env", "-i", *given, str(place / "uv"), "run"]))
    apart = ["unshare", "--mount", "--uts", "--propagation", "private", *(["--net"] if row["network"] != "the machine's" else [])]
    return [*apart, "bash", "-c", "\n".join(steps)]


def ended(row: Row, words: list[str]) -> tuple[int, str, float]:
    """Exit code, output and seconds."""
    said: list[bytes] = []
    master, slave = pty.openpty() if row["terminal"] != "none" else os.pipe()

    def read() -> None:
        try:
            while block := os.read(master, 65536):
                said.append(block)
        except OSError:  # a terminal whose other end is closed
            return

    began = time.monotonic()
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        code = process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    seconds = time.monotonic() - began
    reader.join(GONE_WITHIN_S)
    return code, b"".join(said).decode(errors="replace"), seconds


def belonging_to(home: Path) -> list[psutil.Process]:
    """Processes that were started for a run in this home."""

    def names(info: dict[str, Any]) -> bool:
        return any(
            str(home) in part for part in [*(info["cmdline"] or ()), info["cwd"] or "", (info["environ"] or {}).get("HELIX_HOME", "")]
        )

    return [process for process in psutil.process_iter(["cmdline", "cwd", "environ"]) if names(process.info)]


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_a_run_starts_anywhere_or_says_what_to_do(number: int, place: Path, locales: Path) -> None:
    assert os.geteuid() == 0, "namespaces and other users need root"
    row = ROWS[number]
    home = place / ("home" if row["path"] == "plain" else "ä 'home' of mine")
    if row["user"] == "without an entry, database made":
        made_by_root_for(WITHOUT_ENTRY, home)
    code, said, seconds = ended(row, command(row, place, home, locales))
    assert "Traceback" not in said, f"{row}\n{said}"
    if row["user"] == "without an entry":
        assert code == 2, f"{row}\n{said}"
        assert re.search(r"no entry in the list of users.*libnss_wrapper", said)
        assert seconds < REFUSED_WITHIN_S
        assert not [*home.glob("run.json"), *home.glob("postgres/*"), *home.glob("reports/*")]
    else:
        assert code == 0, f"{row}\n{said}"
        assert [*home.glob("reports/*.json")]
    _, alive = psutil.wait_procs(belonging_to(home), GONE_WITHIN_S)
    assert not alive
