"""One run under fire: an emulator and, unless the run has its own, a PostgreSQL apart from it; faults, and the verdict."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event

import psutil
import psycopg

from fix_run import SECRETS, Run, StartRun
from helix_ray.storage.embedded import EmbeddedServer
from support.outside_judge import Fault, Manifest, Processes, Provider, Verdict, alive, family, judge_money, judge_rows, late_sends

BUSY = 8
"""Requests in flight that a fault must find."""
SETTLE_S = 40.0
LEFT_S = 10.0
CONFIG = """
run: {{name: {name}, drain_timeout_s: 20}}
source: {{kind: pairs, path: {path}, count: null, producers: 1, allow_external: true}}
analyzer: {{backend: groq, base_url: '{url}', workers: 2, requests_in_flight: {in_flight}}}
throttle: {{max_cost_usd: 1000}}
sink: {{database: {database}, statement_timeout_s: 5, outage_timeout_s: {outage_s}}}
ray: {{dashboard: false}}
"""


VERDICTS: dict[str, Verdict] = {}
"""Of this session, by scenario."""


def let_pass(seconds: float) -> None:
    """A fault that has a length needs the time itself: there is no signal to wait for."""
    Event().wait(seconds)


def until(happened: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not happened():
        if time.monotonic() > deadline:
            return False
        let_pass(0.1)
    return True


class Fire:
    """A run of ``reads`` reads, its surroundings, and everything that was done to it. ``server`` None: the database is the run's own."""

    def __init__(
        self, scenario: str, start_run: StartRun, home: Path, folder: Path, server: EmbeddedServer | None, reads: int,
        outage_s: float = 120, in_flight: int = 24, latency_s: float = 1.8, seed: int = 1,
    ) -> None:  # fmt: skip
        self.random = random.Random(f"{scenario} {seed}")
        self.name, self.home, self.server = f"chaos-{uuid.uuid4().hex}", home, server
        self.run_id: str | None = None  # as soon as the run is on record
        self.faults: list[Fault] = []
        self.verdict = Verdict(scenario)
        self.run: Run | None = None
        self._start_run, self._known = start_run, Processes()
        self._emulator, self.provider = _emulator(folder / f"emulator-{self.name}.log")
        self.provider.set(round_trip_s=latency_s)
        self.manifest = _pairs(self.random, reads)
        lines = (f"{read_id}\t{pair.window}\t{pair.read}\n" for read_id, pair in self.manifest.items())
        path = folder / f"{self.name}.tsv"
        path.write_text("".join(lines))
        self._config = folder / f"{self.name}.yaml"
        database = "embedded" if server is None else "external"
        values = {
            "name": self.name,
            "path": path,
            "url": self.provider.url,
            "in_flight": in_flight,
            "database": database,
            "outage_s": outage_s,
        }
        self._config.write_text(CONFIG.format(**values))

    # ── life ──

    @property
    def database_url(self) -> str:
        """Read from the server's own file."""
        data = (self.home if self.server is None else self.server.home) / "postgres"
        return f"postgresql://postgres@/postgres?host={(data / 'postmaster.pid').read_text().splitlines()[4]}"

    def start(self) -> Run:
        """Begins the run, or resumes it if an earlier start put it on record."""
        env = {"GROQ_API_KEY": "any-key-will-do"} | ({} if self.server is None else {"DATABASE_URL": self.server.url})
        self._look_up()
        if self.run_id is None:
            self.run = self._start_run(config=self._config, env=env)
        else:
            self.run = self._start_run(args=["--resume", self.run_id], env=env)
        return self.run

    def _look_up(self) -> None:
        if self.run_id is None:
            found = self._ask("select run_id from helix.runs where name = %s", self.name)
            self.run_id = None if found is None else str(found)

    def end(self, timeout_s: float = 150.0) -> None:
        """Waits for the end of a run that was told to stop, or of one whose last fault is behind it."""
        assert self.run is not None
        code, _ = self.run.finish(timeout_s)
        self.verdict.exits[code] += 1

    def finish(self) -> None:
        """The rest without latency, to save time."""
        self.provider.set(round_trip_s=0.0)
        self.end(300.0)
        if self.verdict.exits[0] == 0:
            self.verdict.notes["incomplete"] += 1

    def judge(self) -> Verdict:
        """The end of everything; the verdict also of a run that a broken promise has cut short."""
        if self.run is not None and self.run.process.poll() is None:
            self.verdict.notes["cut short"] += 1
            self.note_processes()
            os.killpg(self.run.process.pid, signal.SIGKILL)
            self.run.process.wait(10)
        let_pass(LEFT_S)
        left = alive(self._known)
        self.verdict.left += len(left)
        self.verdict.notes.update(f"left: {process.name()}" for process in left)
        server = self.server or EmbeddedServer(self.home)
        server.join()
        try:
            self._look_up()
            judge_rows(self.verdict, self.manifest, server.url, self.run_id)
            judge_money(self.verdict, self.provider, self.faults, server.url, self.run_id)
        finally:
            if self.server is None:
                server.leave()
            for process in alive(self._known):
                process.kill()
            self._emulator.terminate()
            self._emulator.wait(10)
        return self.verdict

    # ── looking ──

    def wait_busy(self, in_flight: int = BUSY) -> None:
        assert self.run is not None
        self.run.wait_until(f"{in_flight} requests in flight", lambda _: self.provider.in_flight() >= in_flight)
        self._look_up()

    def answers_since(self, began: float) -> int:
        """Usable answers whose bodies went out after ``began`` and a second ago at the latest."""
        latest = time.time() - 1.0
        return sum(ask.usable and began < ask.ended <= latest for ask in self.provider.asks())

    def settle(self) -> None:
        """Until every read that was asked before now has its row, so that each repeat has one fault that can have caused it."""
        now = time.time()
        query = (
            "select count(*) from helix.api_calls as call cross join unnest(call.read_indices) as asked where call.run_id = %s "
            "and call.created_at < to_timestamp(%s) and not exists (select from helix.reads as read "
            "where read.run_id = call.run_id and read.read_index = asked)"
        )
        if not until(lambda: self._ended() or self._ask(query, self.run_id, now) == 0, SETTLE_S):
            self.verdict.notes[f"not settled in {SETTLE_S:g} s"] += 1

    def note_processes(self) -> None:
        assert self.run is not None
        self._known |= family(self.run.process.pid, str(self.home))

    def left_now(self) -> int:
        return len(alive(self._known))

    def _ended(self) -> bool:
        return self.run is None or self.run.process.poll() is not None

    def _ask(self, query: str, *values: object) -> object:
        """The first value; None also while the database does not answer, or has no such table yet."""
        try:
            with psycopg.connect(self.database_url, connect_timeout=5) as connection:
                row = connection.execute(query, values).fetchone()
        except (psycopg.Error, OSError):
            return None
        return row and row[0]

    # ── faults ──

    def hit(self, pids: Iterable[int], sign: int = signal.SIGKILL, pause_s: float = 0.0, in_flight: int = BUSY) -> float:
        """Kills, or stops for ``pause_s``; counts if the pipeline was busy. Returns when it happened."""
        self.note_processes()
        busy = self.provider.in_flight() >= in_flight
        began = time.time()
        signal_all(pids, sign)
        if pause_s:
            let_pass(pause_s)
            signal_all(pids, signal.SIGCONT)
        self.faults.append(Fault(began, time.time() if pause_s else began))
        self.verdict.hits += busy
        return began

    def one(self, kind: str) -> list[int]:
        """The process of one actor of this class."""
        assert self.run is not None
        self.run.wait_until(f"{kind} runs", lambda run: bool(run.actor_pids(kind)))
        return [self.random.choice(sorted(self.run.actor_pids(kind)))]

    def postgres_pids(self) -> list[int]:
        """The postmaster first."""
        data = (self.home if self.server is None else self.server.home) / "postgres"
        postmaster = int((data / "postmaster.pid").read_text().split()[0])
        return [postmaster, *(child.pid for child in psutil.Process(postmaster).children(recursive=True))]

    def count_late_sends(self, died: float) -> None:
        self.verdict.late += late_sends(self.provider.requests(), died, time.time())


UnderFire = Callable[..., AbstractContextManager[Fire]]


def signal_all(pids: Iterable[int], sign: int) -> None:
    for pid in pids:
        if psutil.pid_exists(pid):
            os.kill(pid, sign)


def _pairs(rng: random.Random, reads: int) -> dict[str, Manifest]:
    """Windows with one substitution each."""
    made = {}
    for number in range(reads):
        window = "".join(rng.choices("ACGT", k=60))
        at = rng.randrange(10, 50)
        made[f"m{number}"] = Manifest(window, window[:at] + rng.choice([base for base in "ACGT" if base != window[at]]) + window[at + 1 :])
    return made


def _emulator(log: Path) -> tuple[subprocess.Popen[bytes], Provider]:
    """``helix emulator`` in a session of its own, without errors in its answers."""
    command = [sys.executable, "-c", "from helix_ray.cli import main; main()", "emulator", "--port", "0", "--tier", "unlimited"]
    command += ["--drop", "0", "--shift", "0", "--hallucinate", "0"]
    environment = {name: value for name, value in os.environ.items() if name not in (*SECRETS, "HELIX_HOME")}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment, start_new_session=True)
    assert until(lambda: "base_url" in log.read_text() or process.poll() is not None, 60), log.read_text()
    found = re.search(r"base_url\s+(\S+)", log.read_text())
    assert found, log.read_text()
    return process, Provider(found[1])
