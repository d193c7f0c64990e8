"""Whole runs as a user starts them: a process of its own, a HELIX_HOME of its own, a report at the end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 150.0


@dataclass
class Run:
    """One started run. Its output goes to a file, so that a full pipe never blocks it."""

    process: subprocess.Popen[bytes]
    home: Path
    log: Path
    report_file: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until(self, what: str, happened: Callable[[Run], bool], timeout_s: float = DEADLINE_S) -> None:
        """Looks every 50 ms until ``happened``; fails with the run's output when it ended or took too long."""
        deadline = time.monotonic() + timeout_s
        while not happened(self):
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{what} did not happen (exit code {self.process.poll()}); output:\n{self.output}")
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue

    def wait_for_output(self, text: str, timeout_s: float = DEADLINE_S) -> None:
        self.wait_until(f"output {text!r}", lambda run: text in run.output, timeout_s)

    def wait_for_stored_reads(self, timeout_s: float = DEADLINE_S) -> None:
        """Until a progress line shows that the run is well under way."""
        self.wait_until("storing reads", lambda run: re.search(r"RUNNING: stored [1-9]", run.output) is not None, timeout_s)

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def finish(self, timeout_s: float = DEADLINE_S) -> tuple[int, dict[str, Any]]:
        """The exit code and the report (empty when there is none)."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the run did not end within {timeout_s} s; output:\n{self.output}")
        report = json.loads(self.report_file.read_text()) if self.report_file.exists() else {}
        return code, report


StartRun = Callable[..., Run]


@pytest.fixture
def start_run(tmp_path: Path, passable_home: Path) -> Iterator[StartRun]:
    """``start_run("source.count=100", ..., config=PATH, args=[...])`` starts a run; all runs of a test share one home.

    The home is not below ``tmp_path``: pytest closes that folder to others, and as root PostgreSQL runs as another user.
    """
    runs: list[Run] = []

    def start(*overrides: str, config: Path | None = None, args: list[str] | None = None, env: dict[str, str] | None = None) -> Run:
        number = len(runs)
        report = tmp_path / f"report-{number}.json"
        log = tmp_path / f"run-{number}.log"
        command = [sys.executable, "-m", "helix_ray.run"]
        command += [str(config)] if config else []
        command += [part for override in overrides for part in ("--set", override)]
        command += [*(args or []), "--report", str(report)]
        clean = {name: value for name, value in os.environ.items() if name not in ("GROQ_API_KEY", "DATABASE_URL", "HELIX_CONTROL_TOKEN")}
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=tmp_path,
                env={**clean, "HELIX_HOME": str(passable_home), **(env or {})},
                start_new_session=True,
            )
        run = Run(process, passable_home, log, report)
        runs.append(run)
        return run

    yield start
    for run in runs:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait(10)
