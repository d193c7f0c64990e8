"""What the wheel and the source distribution in a folder hold, and whether the wheel runs where there is nothing else of ours.

    .venv/bin/python benchmarks/check_wheel.py [--dist DIR] [--run] [--wheels DIR] [--most SECONDS]

With --run the wheels of what it requires are collected in a folder, by the versions of constraints.txt. Then a fresh environment installs
from that folder alone, no package is built, and `helix run` runs 200 reads in another folder. Ends with 1 when something is missing or too
much, the run fails, or more than SECONDS (30) pass from the start of `pip install` to the first stored row; the download is not counted.
It needs nothing but Python's standard library.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
READS = 200
IN_BOTH = {  # folder: suffix of the files in it that both must hold, all of them
    "configs": ".yaml",
    "dashboard": "",
    "helix_ray/storage/sql": ".sql",
    "helix_ray/results/html": "",
    "helix_ray/providers": ".json",
}
WHEEL_NAMES = {"configs": "helix_ray/_configs", "dashboard": "helix_ray/_dashboard"}
ONLY_IN_THE_SOURCES = ("tests", "benchmarks", "docs", "deploy", "rust_gen", "configs", "dashboard")

FIRST_ROW = """
import pathlib, sys, time, psycopg
pid_file, until = pathlib.Path(sys.argv[1]), time.time() + float(sys.argv[2])
while time.time() < until:
    try:
        folder = pid_file.read_text().splitlines()[4]
        with psycopg.connect(host=folder, user="postgres", dbname="postgres", connect_timeout=2) as connection:
            while time.time() < until:
                if connection.execute("select exists (select from helix.reads)").fetchone()[0]:
                    print(time.time())
                    sys.exit(0)
                connection.rollback()
                time.sleep(0.05)
    except (OSError, IndexError, psycopg.Error):
        time.sleep(0.05)
sys.exit("no row was stored in time")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dist", type=Path, default=ROOT / "dist")
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--wheels", type=Path, help="where the wheels are collected and kept; default: a temporary folder")
    parser.add_argument("--most", type=float, default=30.0, help="seconds from pip install to the first row")
    options = parser.parse_args()
    wheel, sources = newest(options.dist, "*.whl"), newest(options.dist, "*.tar.gz")
    faults = faults_of(wheel, sources)
    print(
        *faults or [f"{wheel.name} ({wheel.stat().st_size / 1e6:.1f} MB) and {sources.name}: nothing is missing, nothing too much"],
        sep="\n",
    )
    if faults:
        sys.exit(1)
    if options.run:
        with tempfile.TemporaryDirectory(prefix="helix-wheel-") as folder:
            Path(folder).chmod(0o755)  # root's PostgreSQL has a user of its own
            sys.exit(seconds_to_first_row(wheel, options.wheels or Path(folder, "wheels"), Path(folder)) > options.most)


def newest(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(f"helix_throttle-{pattern}"), key=lambda path: path.stat().st_mtime)
    if not found:
        sys.exit(f"{folder} holds no {pattern} of helix-throttle; make wheel builds it")
    return found[-1]


def faults_of(wheel: Path, sources: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(sources) as archive:
        in_sources = {name.partition("/")[2] for name in archive.getnames()}
    ours = {
        folder: {path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob(f"*{suffix}") if path.is_file() and shipped(path)}
        for folder, suffix in IN_BOTH.items()
    }
    faults = [f"no file was found in {folder}" for folder, paths in ours.items() if not paths]
    for folder, paths in ours.items():
        here = WHEEL_NAMES.get(folder, folder)
        faults += [f"{wheel.name} lacks {here}/{path}" for path in paths if f"{here}/{path}" not in in_wheel]
        faults += [f"{sources.name} lacks {folder}/{path}" for path in paths if f"{folder}/{path}" not in in_sources]
    tops = {name.split("/")[0] for name in in_wheel}
    faults += [f"{wheel.name} holds {top}" for top in sorted(tops) if top != "helix_ray" and not top.endswith(".dist-info")]
    faults += [f"{sources.name} lacks {top}" for top in ONLY_IN_THE_SOURCES if not any(name.startswith(f"{top}/") for name in in_sources)]
    if not any(name.startswith("helix_ray/_rust_gen.") and name.endswith(".so") for name in in_wheel):
        faults.append(f"{wheel.name} lacks the compiled generator")
    if "-abi3-" not in wheel.name:
        faults.append(f"{wheel.name} is for one version of Python only")
    return faults


def shipped(path: Path) -> bool:
    return "__pycache__" not in path.parts and path.suffix != ".so"


def seconds_to_first_row(wheel: Path, wheels: Path, folder: Path) -> float:
    began = time.monotonic()
    # Only wheels: where one is missing, this ends, and nothing is compiled.
    pip(sys.executable, "download", "--only-binary=:all:", f"--constraint={ROOT / 'constraints.txt'}", f"--dest={wheels}", str(wheel))
    megabytes = sum(path.stat().st_size for path in wheels.iterdir()) / 1e6
    print(f"download: {time.monotonic() - began:.1f} s, {len(list(wheels.iterdir()))} wheels, {megabytes:.0f} MB", flush=True)
    venv.create(folder / "venv", with_pip=True)
    python, elsewhere = folder / "venv/bin/python", folder / "elsewhere"
    elsewhere.mkdir()
    installs_at, before = time.time(), cpu_s()
    # Without compiling all of it, half of which no run imports: Python compiles what is imported.
    offline = ["--no-index", "--no-compile", "--only-binary=:all:", f"--find-links={wheels}"]
    pip(str(python), "install", *offline, "helix-throttle")
    installed_at, installation = time.time(), cpu_s() - before
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HELIX_", "VIRTUAL_ENV"))}
    environment = {**clean, "PATH": f"{folder / 'venv/bin'}:/usr/bin:/bin"}
    command = [str(folder / "venv/bin/helix"), "run", "--set", f"source.count={READS}", "--no-progress"]
    run = subprocess.Popen(command, cwd=elsewhere, env=environment, stdout=subprocess.DEVNULL)
    watch = [str(python), "-c", FIRST_ROW, str(elsewhere / ".helix/postgres/postmaster.pid"), "120"]
    first = subprocess.run(watch, stdout=subprocess.PIPE, text=True, check=False).stdout
    if run.wait() or not first:
        sys.exit(f"helix run ended with {run.returncode}")
    seconds = float(first) - installs_at
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
    print(f"pip install: {installed_at - installs_at:.1f} s, {installation:.1f} s of CPU; {load}")
    print(f"helix run to the first stored row: {float(first) - installed_at:.1f} s")
    print(f"from pip install to the first stored row: {seconds:.1f} s")
    return seconds


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def pip(python: str, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True)


if __name__ == "__main__":
    main()
