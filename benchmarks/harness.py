"""What every whole-run benchmark needs: a run in a home of its own, watched from outside, and tables that can be pasted."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import psutil

from helix_ray.storage.embedded import EmbeddedServer

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # benchmarks and tests share tests/support

POLL_S = 0.1


@dataclass
class Run:
    process: psutil.Popen
    home: Path
    log: Path
    report_file: Path

    def report(self) -> dict[str, Any] | None:
        """None until the run has ended."""
        return json.loads(self.report_file.read_text()) if self.report_file.exists() else None

    def run_file(self) -> dict[str, Any] | None:
        path = self.home / "run.json"
        return json.loads(path.read_text()) if path.exists() else None

    def emulator_summary(self) -> dict[str, Any]:
        """The emulator's own ledger, added up by itself."""
        found = self.run_file()
        assert found, "the run is not live"
        with urllib.request.urlopen(f"{found['emulator_url']}/_ctl/summary", timeout=10) as answer:
            return json.loads(answer.read())

    def watch(self, sample: Callable[[Run], None] | None = None, every_s: float = 1.0, timeout_s: float = 1200.0) -> dict[str, Any]:
        """Until there is a report; ``sample`` is called every ``every_s`` seconds while the run is live."""
        deadline, next_at = time.monotonic() + timeout_s, 0.0
        while (report := self.report()) is None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the run ended without a report (exit {self.process.poll()}):\n{self.log.read_text()}")
            if sample and self.run_file() and time.monotonic() >= next_at:
                next_at = time.monotonic() + every_s
                sample(self)
            time.sleep(POLL_S)
        return report


@contextmanager
def started_run(*overrides: str, config: str | None = None) -> Iterator[Run]:
    """A held run (Ray and the emulator stay until the block ends); stopped and cleaned up on leaving."""
    with tempfile.TemporaryDirectory(prefix="helix-bench-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o755)  # as root, PostgreSQL runs as a user of its own
        home, log, report = root / "home", root / "run.log", root / "report.json"
        command = [sys.executable, "-m", "helix_ray.run", *([config] if config else [])]
        command += [part for override in overrides for part in ("--set", override)]
        command += ["--hold", "--no-progress", "--report", str(report)]
        with log.open("wb") as out:
            process = psutil.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "HELIX_HOME": str(home)},
                start_new_session=True,
            )
        try:
            yield Run(process, home, log, report)
        finally:
            for _ in range(2):
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
                    time.sleep(0.5)
            try:
                process.wait(60)
            except psutil.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def server_processes(run: Run) -> list[psutil.Process]:
    """The embedded PostgreSQL, which is no child of the run; none before it has started."""
    try:
        postmaster = psutil.Process(int((EmbeddedServer(run.home).data / "postmaster.pid").read_text().split()[0]))
        return [postmaster, *postmaster.children()]
    except (OSError, psutil.Error):
        return []


def role(process: psutil.Process) -> str:
    """A process's part in the run, by its title."""
    if process.name() == "postgres":
        return "PostgreSQL"
    line = process.cmdline()
    text = " ".join(line)
    if line and line[0].startswith("ray::"):
        return line[0].removeprefix("ray::").split(".")[0].split(" ")[0]
    for mark, name in (
        ("helix_ray.run", "driver"),
        ("helix_ray.emulator", "emulator"),
        ("gcs_server", "ray gcs"),
        ("raylet", "ray raylet"),
        ("dashboard", "ray dashboard"),
        ("runtime_env/agent", "ray agents"),
        ("log_monitor", "ray log monitor"),
        ("monitor.py", "ray monitor"),
    ):
        if mark in text:
            return name
    return "other"


class CpuMeter:
    """User and system seconds of each process while the run is live: the last look less the first one.

    To be sampled during the run; by the time there is a report, actors are being dismissed and take their figures along.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, int], float] = {}
        self._last: dict[tuple[str, int], float] = {}

    def sample(self, run: Run) -> None:
        starting = not self._first
        for process in [run.process, *run.process.children(recursive=True), *server_processes(run)]:
            try:
                times = process.cpu_times()
                key = (role(process), process.pid)
            except psutil.Error:
                continue  # it ended while being looked at
            self._last[key] = times.user + times.system
            self._first.setdefault(key, self._last[key] if starting else 0.0)

    def spent(self) -> dict[str, float]:
        """Seconds by role, the dearest first."""
        total: dict[str, float] = {}
        for key, seconds in self._last.items():
            total[key[0]] = total.get(key[0], 0.0) + seconds - self._first[key]
        return dict(sorted(total.items(), key=lambda item: -item[1]))


def argument(doc: str, name: str, default: int, least: int = 1) -> int:
    """The script's one argument, a whole number; ``--help`` shows the script's docstring."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(name.lower(), metavar=name, type=int, nargs="?", default=default, help=f"at least {least}; default {default}")
    value = int(getattr(parser.parse_args(), name.lower()))
    if value < least:
        parser.error(f"{name} must be at least {least}, found {value}")
    return value


def print_table(header: list[str], rows: list[list[Any]], out: TextIO | None = None) -> None:
    """A Markdown table."""
    print("| " + " | ".join(header) + " |", file=out)
    print("|" + "---|" * len(header), file=out)
    for row in rows:
        print("| " + " | ".join(_cell(value) for value in row) + " |", file=out)


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
