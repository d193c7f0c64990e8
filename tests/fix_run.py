"""Whole runs as a user starts them: a process of its own, a HELIX_HOME of its own, a report at the end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

DEADLINE_S = 150.0
ONE_OF_EACH = ("source.producers=1", "analyzer.workers=1")
"""For runs in which it does not matter how many actors there are: each is a process, whose start costs a second of CPU."""

REFUSED = 2
"""The exit code of what was refused before anything was started."""

MOST_WHOLE_RUNS = 18
"""In the default selection, over all test processes: each run is some eight processes that import Ray, 10 s of CPU."""

whole_runs: list[str] = []
"""One entry for each of them: the test that started it."""

SECRETS = ("GROQ_API_KEY", "DATABASE_URL", "HELIX_CONTROL_TOKEN")


def helix(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command ``helix`` in a second terminal, without the secrets of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if name not in SECRETS}
    return subprocess.run(
        [sys.executable, "-c", "from helix_ray.cli import main; main()", *arguments],
        env={**kept, "HELIX_HOME": str(home), "COLUMNS": "200", **environment},
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


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
        """Looks every 0.1 s until ``happened``; fails with the run's output when it ended or took too long."""
        deadline = time.monotonic() + timeout_s
        while not happened(self):
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{what} did not happen (exit code {self.process.poll()}); output:\n{self.output}")
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue

    def wait_for_output(self, text: str, timeout_s: float = DEADLINE_S) -> None:
        self.wait_until(f"output {text!r}", lambda run: text in run.output, timeout_s)

    def wait_for_stored_reads(self, more_than: int = 0, timeout_s: float = DEADLINE_S) -> None:
        """Until a progress line shows that the run is well under way."""
        self.wait_until(f"storing more than {more_than} reads", lambda run: run.stored > more_than, timeout_s)

    def wait_for_report(self, timeout_s: float = DEADLINE_S) -> dict[str, Any]:
        """The report of a held run, which goes on living."""
        self.wait_until("the report", lambda run: run.report_file.exists(), timeout_s)
        return self._report()

    @property
    def stored(self) -> int:
        """Rows, by the last progress line."""
        lines = re.findall(r"[A-Z]: stored ([\d,]+)", self.output)
        return int(lines[-1].replace(",", "")) if lines else 0

    @property
    def last_state(self) -> str:
        """The run's state, by the last progress line."""
        return (re.findall(r"([A-Z]+): stored [\d,]+", self.output) or [""])[-1]

    def actor_pids(self, kind: str) -> set[int]:
        """The processes of this actor class, by their titles."""
        found = set()
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                line = process.cmdline()
            except psutil.Error:
                continue  # it ended while being looked at
            if line and line[0].startswith(f"ray::{kind}"):
                found.add(process.pid)
        return found

    def kill_one(self, kind: str) -> None:
        """SIGKILL to one actor of this class; returns when its successor runs."""
        self.wait_until(f"{kind} runs", lambda run: bool(run.actor_pids(kind)))
        before = self.actor_pids(kind)
        os.kill(min(before), signal.SIGKILL)
        self.wait_until(f"a successor of {kind}", lambda run: bool(run.actor_pids(kind) - before))

    def status(self) -> dict[str, Any]:
        """``helix status --json``, as another process sees the live run."""
        result = helix(self.home, "status", "--json")
        assert result.returncode == 0, result.stdout + result.stderr
        return dict(json.loads(result.stdout))

    @property
    def emulator_url(self) -> str:
        return str(json.loads((self.home / "run.json").read_text())["emulator_url"])

    def bill_usd(self) -> Decimal:
        """What the emulator of a live or held run charged."""
        with urllib.request.urlopen(f"{self.emulator_url}/_ctl/summary", timeout=10) as reply:
            return Decimal(str(json.loads(reply.read())["bill_usd"]))

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def terminate(self) -> None:
        """What `docker stop` and systemd send."""
        self.process.send_signal(signal.SIGTERM)

    def emulator(self, page: str) -> dict[str, Any]:
        """A page of the control plane of the live run's emulator: what it was asked, and what it answered."""
        with urllib.request.urlopen(f"{self.emulator_url}/_ctl/{page}", timeout=10) as reply:
            return dict(json.loads(reply.read()))

    def finish(self, timeout_s: float = DEADLINE_S) -> tuple[int, dict[str, Any]]:
        """The exit code and the report (empty when there is none)."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the run did not end within {timeout_s} s; output:\n{self.output}")
        return code, self._report()

    def _report(self) -> dict[str, Any]:
        return dict(json.loads(self.report_file.read_text())) if self.report_file.exists() else {}


StartRun = Callable[..., Run]


@pytest.fixture
def start_run(request: pytest.FixtureRequest, tmp_path: Path, passable_home: Path, database_url: str) -> Iterator[StartRun]:
    """``start_run("source.count=100", ..., config=PATH, args=[...])`` starts a run; all runs of a test share one home.

    They store into a database of the session's PostgreSQL: one of their own takes seconds to make. With ``embedded=True``
    nothing is said about the database, which is then the home's.
    ``start_run(pasted="...")`` hands a whole command line to a shell in the same working directory, as a user pastes it, with
    no HELIX_HOME of its own; the report is then the one in the home.
    The home is not below ``tmp_path``: pytest closes that folder to others, and as root PostgreSQL runs as another user.
    """
    runs: list[Run] = []
    clean = {name: value for name, value in os.environ.items() if name not in SECRETS}

    def start(
        *overrides: str,
        config: Path | None = None,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        pasted: str | None = None,
        embedded: bool = False,
    ) -> Run:
        number = len(runs)
        report = tmp_path / f"report-{number}.json"
        log = tmp_path / f"run-{number}.log"
        environment = {**clean, "HELIX_HOME": str(passable_home), **(env or {})}
        if not embedded and "DATABASE_URL" not in environment:
            environment["DATABASE_URL"] = database_url
            overrides = ("sink.database=external", *overrides)
        if pasted is None:
            command = [sys.executable, "-m", "helix_ray.run"]
            command += [str(config)] if config else []
            command += [part for override in overrides for part in ("--set", override)]
            command += [*args, "--report", str(report)]
        else:
            command = ["/bin/sh", "-c", pasted]
            del environment["HELIX_HOME"]
            report = passable_home / "reports" / f"{pasted.split()[-1]}.json"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=tmp_path,
                env=environment,
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
        if run.process.returncode != REFUSED and "--dry-run" not in run.process.args:
            note_whole_run(request.node)


def note_whole_run(node: pytest.Item) -> None:
    """Counts it, unless ``node`` is no part of the default selection."""
    if not any(mark.name in ("browser", "debian", "slow", "peer") for mark in node.iter_markers()):
        whole_runs.append(node.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """With several test processes their controller counts for all of them."""
    whole_runs.extend(getattr(node, "workeroutput", {}).get("whole_runs", []))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Too many whole runs fail the session: `make test` would take too long, and no test by itself can tell."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["whole_runs"] = whole_runs
    elif len(whole_runs) > MOST_WHOLE_RUNS:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if len(whole_runs) > MOST_WHOLE_RUNS:
        terminalreporter.section("FAILED: too many whole runs; extend a test that has one, or test what is new without one", red=True)
        terminalreporter.write_line("\n".join(sorted(whole_runs)))
    if whole_runs:
        terminalreporter.write_line(f"{len(whole_runs)} whole runs, {MOST_WHOLE_RUNS} are allowed")
