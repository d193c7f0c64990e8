"""One run under fire: an emulator and, unless the run has its own, a PostgreSQL apart from it; faults, and the verdict."""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Event

import psutil
import psycopg

from fix_run import Run, StartRun
from helix_ray.config.emulator import EmulatorConfig, EmulatorErrorRates
from helix_ray.emulator.process import EmulatorProcess
from helix_ray.storage.embedded import EmbeddedServer
from support.outside_judge import Fault, Pair, Processes, Provider, Verdict, alive, family, judge, late_sends

BUSY = 8
"""Requests in flight that a fault must find."""
SETTLE_S = 60.0
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


def signal_all(pids: Iterable[int], sign: int) -> None:
    for pid in pids:
        if psutil.pid_exists(pid):
            os.kill(pid, sign)


class Fire:
    """A run of ``reads`` reads, its surroundings, and everything that was done to it. ``server`` None: the database is the run's own."""

    def __init__(
        self, scenario: str, start_run: StartRun, home: Path, folder: Path, server: EmbeddedServer | None, reads: int,
        outage_s: float = 120, in_flight: int = 24, latency_s: float = 1.8, seed: int = 1, through: str | None = None,
    ) -> None:  # fmt: skip
        """``through``: the database's address for the run; None: the server's own."""
        self.random = random.Random(f"{scenario} {seed}")
        self.verdict = Verdict(scenario)
        self.home, self._server, self._start_run = home, server, start_run
        self._database_url = through or (None if server is None else server.url)
        self._faults: list[Fault] = []
        self._known = Processes()
        self._run: Run | None = None
        self._run_id: str | None = None  # as soon as the run is on record
        rates = EmulatorErrorRates(drop=0, shift=0, hallucinate=0)
        config = EmulatorConfig(tier="unlimited", round_trip_s=latency_s, error_rates=rates)
        self._emulator = EmulatorProcess.start(config, "openai/gpt-oss-20b")
        self.provider = Provider(self._emulator.url)
        self._manifest = _pairs(self.random, reads)
        self._name = f"chaos-{uuid.uuid4().hex}"
        path, self._config = folder / f"{self._name}.tsv", folder / f"{self._name}.yaml"
        path.write_text("".join(f"{read_id}\t{pair.window}\t{pair.read}\n" for read_id, pair in self._manifest.items()))
        values = {"name": self._name, "path": path, "url": self.provider.url, "in_flight": in_flight, "outage_s": outage_s}
        self._config.write_text(CONFIG.format(**values, database="embedded" if server is None else "external"))

    # ── life ──

    @property
    def live(self) -> Run:
        assert self._run is not None
        return self._run

    def start(self) -> Run:
        """Begins the run, or resumes it if an earlier start put it on record."""
        env = {"GROQ_API_KEY": "any-key-will-do"} | ({} if self._database_url is None else {"DATABASE_URL": self._database_url})
        self._look_up()
        known = {"config": self._config} if self._run_id is None else {"args": ["--resume", self._run_id]}
        self._run = self._start_run(**known, env=env, embedded=self._server is None)
        return self._run

    def end(self, timeout_s: float) -> None:
        code, _ = self.live.finish(timeout_s)
        self.verdict.exits[code] += 1
        self._run = None

    def finish(self) -> None:
        """The rest without latency, to save time."""
        self.wait_busy(1)
        self.note_processes()
        self.provider.set(round_trip_s=0.0)
        self.end(300)

    def judge(self) -> Verdict:
        """The end of everything; a verdict also of a run that a broken promise has cut short."""
        if self._run is not None:
            self.verdict.notes["cut short"] += 1
            if self._run.process.poll() is None:
                self.note_processes()
                os.killpg(self._run.process.pid, signal.SIGKILL)
            self.end(10)
        self.count_left()
        server = self._server or EmbeddedServer(self.home)
        server.join()
        try:
            self._look_up()
            judge(self.verdict, self._manifest, self.provider, self._faults, server.url, self._run_id)
        finally:
            if self._server is None:
                server.leave()
            for process in alive(self._known):
                process.kill()
            self._emulator.stop()
        return self.verdict

    # ── looking ──

    def wait_busy(self, in_flight: int = BUSY) -> None:
        self.live.wait_until(f"{in_flight} requests in flight", lambda _: self.provider.in_flight() >= in_flight)
        self._look_up()

    def answers_since(self, began: float) -> int:
        """Usable answers whose bodies went out after ``began`` and a second ago at the latest."""
        latest = time.time() - 1.0
        return sum(ask.usable and began < ask.ended <= latest for ask in self.provider.asks())

    def asks_again(self, within_s: float) -> bool:
        """Whether a request leaves within this time from now on."""
        now = time.time()
        return until(lambda: any(entry["time"] > now for entry in self.provider.requests()), within_s)

    def settle(self) -> None:
        """Until every read that was asked before now has its row, so that each repeat has one fault that can have caused it."""
        now = time.time()
        query = (
            "select count(*) from helix.api_calls as call cross join unnest(call.read_indices) as asked where call.run_id = %s "
            "and call.created_at < to_timestamp(%s) and not exists (select from helix.reads as read "
            "where read.run_id = call.run_id and read.read_index = asked)"
        )
        if not until(lambda: self.live.process.poll() is not None or self._ask(query, self._run_id, now) == 0, SETTLE_S):
            self.verdict.notes[f"not settled in {SETTLE_S:g} s"] += 1

    def note_processes(self) -> None:
        self._known |= family(self.live.process.pid, str(self.home))

    def count_left(self) -> None:
        """Processes that still run when they should have ended long ago."""
        let_pass(LEFT_S)
        left = alive(self._known)
        self.verdict.left += len(left)
        self.verdict.notes.update(f"left: {process.name()}" for process in left)

    def count_late_sends(self, died: float) -> None:
        self.verdict.late += late_sends(self.provider.requests(), died, time.time())

    @property
    def _postmaster(self) -> list[str]:
        """The lines of the server's own file: pid, folder, start, port, the socket's folder, …"""
        return ((self._server or self).home / "postgres/postmaster.pid").read_text().splitlines()

    def postgres_pids(self) -> list[int]:
        """The postmaster first."""
        postmaster = psutil.Process(int(self._postmaster[0]))
        return [postmaster.pid, *(child.pid for child in postmaster.children(recursive=True))]

    def _look_up(self) -> None:
        if self._run_id is None:
            found = self._ask("select run_id from helix.runs where name = %s", self._name)
            self._run_id = None if found is None else str(found)

    def _ask(self, query: str, *values: object) -> object:
        """The first value; None also while the database does not answer, or has no such table yet."""
        try:
            with self._connected() as connection:
                row = connection.execute(query, values).fetchone()
        except (psycopg.Error, OSError, ValueError):
            return None
        return row and row[0]

    def _connected(self) -> psycopg.Connection:
        port, folder = self._postmaster[3:5]
        return psycopg.connect(host=folder, port=port, user="postgres", dbname="postgres", connect_timeout=5)

    # ── faults ──

    def fill_disk(self, file: Path, *, wal: bool) -> None:
        """To the last byte. ``wal``: PostgreSQL's log needs more room, too, for want of which it dies."""
        with suppress(psycopg.Error), self._connected() as connection:
            with file.open("wb", buffering=0) as filler, suppress(OSError):
                while filler.write(bytes(2**20)):
                    pass
            while wal:
                connection.execute("select pg_logical_emit_message(false, '', repeat(' ', 1000000))")

    def one(self, kind: str) -> list[int]:
        """The process of one actor of this class."""
        self.live.wait_until(f"{kind} runs", lambda run: bool(run.actor_pids(kind)))
        return [self.random.choice(sorted(self.live.actor_pids(kind)))]

    def hit(self, pids: Iterable[int], sign: int = signal.SIGKILL, pause_s: float = 0.0, in_flight: int = BUSY, struck: str = "") -> float:
        """Kills, or stops for ``pause_s``; counts if it found so many requests in flight. Returns when it happened."""
        self.note_processes()
        busy = self.provider.in_flight() >= in_flight
        began = time.time()
        signal_all(pids, sign)
        if pause_s:
            let_pass(pause_s)
            signal_all(pids, signal.SIGCONT)
        self._faults.append(Fault(began, time.time() if pause_s else began, struck))
        self.verdict.hits += busy
        return began


UnderFire = Callable[..., AbstractContextManager[Fire]]


def _pairs(rng: random.Random, reads: int) -> dict[str, Pair]:
    """Windows with one substitution each."""
    made = {}
    for number in range(reads):
        window = "".join(rng.choices("ACGT", k=60))
        at = rng.randrange(10, 50)
        made[f"m{number}"] = Pair(window, window[:at] + rng.choice([base for base in "ACGT" if base != window[at]]) + window[at + 1 :])
    return made
