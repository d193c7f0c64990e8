"""A whole run in simulated time: the real actors and their engines over a simulated Ray, database, provider and driver.

What stands in for Ray delivers calls late, twice, in another order or not at all, kills and stops processes, and brings them back
empty under their old names. The same seed gives the same run, event by event.
"""

import asyncio
import hashlib
import os
import random
import shutil
import uuid
from collections import Counter
from collections.abc import Callable
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from helix_ray.actors import analyzer, peers, producer, queue, sink, throttle
from helix_ray.actors.api import QUEUE, SINK, THROTTLE
from helix_ray.analysis.prompts import opaque_id
from helix_ray.config import Config
from helix_ray.environment.secrets import Secret
from helix_ray.errors import HelixError
from helix_ray.providers.prices import tariff_of
from helix_ray.records import Read, Variant
from helix_ray.storage.ledger import RunRow
from helix_ray.storage.spool import Spool
from simulation.database import Database
from simulation.driver import Driver
from simulation.loop import OUTSIDE, PROCESS, Killed, Process, SimLoop
from simulation.machine import in_place_of_the_machine
from simulation.network import Network, fail
from simulation.plans import Plan
from simulation.provider import Limits, Provider
from support.throttle_world import ModelBucket

WINDOW = "ACGTACGTACGTACGTACGT"
START = datetime(2026, 1, 1, tzinfo=UTC)
RESTART_S = (0.05, 1.5)
DRIVER_LEAVES_S = (0.3, 3.0)
"""Until Ray has ended the actors of a driver that died."""
LIMIT_S = 900.0
"""Simulated. A run that is not complete by then is stuck."""
MOST_EVENTS = 4000
"""Of a run, four times as many as the longest of the first 500 seeds; with more it is stuck."""


class World(Network):
    def __init__(self, seed: int, plan: Plan, spool: Path, killer: "Callable[[World, str, Process], bool] | None" = None) -> None:
        """``killer`` is told each durable boundary by its name and the process that reaches it, and says whether that dies there."""
        self.plan, self.spool, self._killer = plan, spool, killer
        self.network = plan  # as long as it is bad
        self.random = random.Random(seed)
        self.loop = SimLoop()
        self.run_id = str(uuid.UUID(int=seed + 1))
        self.config = self._config()
        self.row = RunRow(self.run_id, "sim", "{}", "h", 1, {}, None, START, "emulator", True)
        self.database = Database(self, self.run_id)
        self.max_cost_usd = plan.max_cost_usd
        self.manifest = [_read(index) for index in range(plan.reads)]
        price = tariff_of(self.config.analyzer.model).price
        poor = {read.read_index for read in self.manifest if self.random.random() < plan.poor}
        truth = {opaque_id(self.run_id, read.read_index): (read.read_index, _call(read.read_index)) for read in self.manifest}
        self.provider = Provider(self, truth, poor, price.prompt, price.completion)
        self.provider.failing, self.provider.losing = plan.failing, plan.losing
        self.provider.limits = Limits(plan.rpm and ModelBucket(plan.rpm), plan.tpm and ModelBucket(plan.tpm))  # type: ignore[arg-type]
        self.database.lost_replies, self.database.refused = plan.lost_commits, plan.refused
        self.names = [QUEUE, THROTTLE, SINK, *(f"producer-{i}" for i in range(2)), *(f"analyzer-{i}" for i in range(plan.analyzers))]
        self.actors: dict[str, Any] = {}
        self.processes: dict[str, Process] = {}
        self.driver: Process | None = None
        self.driver_deaths: list[tuple[float, float]] = []  # and when the run was resumed
        self.outages: list[tuple[float, float]] = []
        self.caps: list[tuple[float, Decimal]] = []  # of each session, US dollars, and when it ended
        self.sessions = 0
        self.spoken: list[str] = []  # the trace
        self.defects: list[str] = []
        self.deepest = 0  # the most reads that waited in a queue
        self.ended: str | None = None
        self._loops: dict[str, str] = {}
        self._pending: dict[Process, dict[asyncio.Future[Any], None]] = {}  # replies
        self._wall = timedelta(0)
        self._numbers = 0

    def _config(self) -> Config:
        plan = self.plan
        analyzer_keys = {"workers": plan.analyzers, "requests_in_flight": plan.in_flight, "reads_per_request": plan.reads_per_request}
        limits = {"requests_per_minute": plan.rpm, "tokens_per_minute": plan.tpm, "max_cost_usd": plan.max_cost_usd}
        return Config.model_validate(
            {
                "analyzer": {"backend": "emulator", "request_timeout_s": 8.0, "max_completion_tokens": 200, **analyzer_keys},
                "source": {"batch_size": 4, "producers": 2, "count": plan.reads},
                "queue": {"capacity": plan.capacity, "low_watermark": plan.capacity // 4, "lease_timeout_s": 15.0},
                "retry": {"max_attempts": 20, "max_delay_s": 4.0, "max_share": 1.0},
                "sink": {"batch_size": 10, "flush_interval_s": 0.5, "statement_timeout_s": 5.0},
                "throttle": limits,
            }
        )

    # ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> str:
        """How it ended; the hash of its trace. `judge.violations` says what is wrong with it."""
        self.loop.run_until_complete(self.database.ledger.start_run(self.row))
        with in_place_of_the_machine(self):
            try:
                self.loop.run_until_complete(self.loop.create_task(self._live(), context=OUTSIDE.copy()))
            finally:
                self._killer = None
                for process in self.processes.values():
                    self._close_spool(process)
                self.loop.end()
                shutil.rmtree(self.spool / self.run_id, ignore_errors=True)
        return hashlib.sha256("\n".join(self.spoken).encode()).hexdigest()

    async def _live(self) -> None:
        for _ in range(self.plan.kills):
            self._at_random(self._kill_one)
        for _ in range(self.plan.pauses):
            self._at_random(self._pause_one)
        for _ in range(self.plan.outages):
            self._at_random(self._outage)
        for _ in range(self.plan.driver_deaths):
            self._at_random(self._kill_driver)
        for _ in range(self.plan.jumps):
            self._at_random(self._jump)
        for _ in range(self.plan.closings):
            self._at_random(lambda: self.provider.close_for(self.random.uniform(15.0, 40.0)))
        self.later(self.plan.fire_s, self._cease_fire)
        while self.ended is None and not self._is_over():
            self.sessions += 1
            self.driver = self._process("driver")
            session = self.loop.create_task(self._session(), context=self._context(self.driver))
            while not session.done() and not self.driver.dead and not self._is_over():  # noqa: ASYNC110 (time is simulated)
                await asyncio.sleep(0.5)
            if self.driver.dead:
                await asyncio.sleep(max(0.0, self.random.uniform(0.5, 3.0)))
                for name in self.names:
                    self.bury(name)
                self.driver_deaths[-1] = (self.driver_deaths[-1][0], self.loop.now)
            elif session.done() and (error := session.exception()) is not None:
                self.defect(f"driver: {error!r}")

    def _is_over(self) -> bool:
        return bool(self.defects) or self.loop.now > 1000.0 + LIMIT_S or len(self.spoken) > MOST_EVENTS

    async def _session(self) -> None:
        try:
            why = await Driver(self).run()
        except HelixError as error:  # a run that cannot begin fails, and is resumed
            why = f"failed: {error}"
            for name in self.names:
                self.bury(name)
        self.note(f"session {why}")
        self.caps.append((self.loop.now, Decimal(str(self.max_cost_usd))))
        if why == "limited":
            self.max_cost_usd += self.plan.max_cost_usd
        elif why == "complete":
            self.ended = why

    def _cease_fire(self) -> None:
        self.network = Plan()
        self.database.lost_replies = self.database.refused = self.provider.failing = self.provider.losing = 0.0

    # ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _process(self, name: str) -> Process:
        self._numbers += 1
        return Process(name, self._numbers)

    def _context(self, process: Process) -> Any:
        context = copy_context()
        context.run(PROCESS.set, process)
        return context

    def spawn(self, name: str) -> None:
        process = self.processes[name] = self._process(name)
        self._pending[process] = {}
        self.actors[name] = self._context(process).run(self._make, name)
        self.note(f"start {name}")
        if self._loops.get(name) == "running":
            self._run_loop(name)

    def _make(self, name: str) -> Any:
        config, plan = self.config, self.plan
        kind, _, number = name.partition("-")
        if name == QUEUE:
            return queue.QueueActor(config.queue)
        if name == THROTTLE:
            most = plan.analyzers * plan.in_flight
            timeout_s, share = config.analyzer.request_timeout_s, config.retry.max_share
            return throttle.ThrottleActor(config.throttle, timeout_s, most, share, peers.authorise, plan.analyzers)
        if name == SINK:
            return sink.SinkActor(self.run_id, config.sink, self.driver, self.spool / self.run_id)  # type: ignore[arg-type]
        if kind == "producer":
            return producer.ProducerActor(int(number), config)
        return analyzer.AnalyzerActor(int(number), config, None, self.run_id, None, self.spool / self.run_id)

    def start_loop(self, name: str) -> None:
        """As `ActorGroup.start_loops`."""
        if self._loops.get(name) != "running":
            self._loops[name] = "running"
            if not self.processes[name].dead:
                self._run_loop(name)

    def have_ended(self, kind: str) -> bool:
        """The loops of all actors of this kind."""
        return all(self._loops.get(name) == "ended" for name in self.names if name.startswith(kind))

    def _run_loop(self, name: str) -> None:
        process, actor = self.processes[name], self.actors[name]

        async def run() -> None:
            try:
                await actor.run(*([] if name.startswith("producer") else [Secret("postgresql://")]))
                self._loops[name] = "ended"
            except Exception as error:  # noqa: BLE001
                self.defect(f"{name}: {error!r}")

        self.loop.create_task(run(), context=self._context(process))

    def bury(self, name: str) -> None:
        """Ends an actor for this session."""
        self._loops.pop(name, None)
        if name in self.processes:
            self._die(self.processes[name])

    def kill(self, name: str) -> None:
        """SIGKILL. Ray brings it back while the driver lives."""
        process = self.processes[name]
        if not process.dead:
            self.note(f"kill {name}")
            self._die(process)
            self.later(self.random.uniform(*RESTART_S), self._restart, name, process)

    def _restart(self, name: str, process: Process) -> None:
        if self.driver is not None and not self.driver.dead and self.processes[name] is process and self.ended is None:
            self.spawn(name)

    def _die(self, process: Process) -> None:
        if process.dead:
            return
        process.dead, process.died = True, self.loop.now
        self._close_spool(process)
        for reply in self._pending.pop(process, ()):
            self.later(self.random.uniform(0.001, 0.05), fail, reply)

    def _close_spool(self, process: Process) -> None:
        """The kernel closes the files of the dead, which gives up their locks."""
        spool = getattr(self.actors.get(process.name), "_spool", None)
        if isinstance(spool, Spool) and spool._descriptor is not None:
            os.close(spool._descriptor)
            spool._descriptor = None

    def later(self, seconds: float, happen: Callable[..., object], *args: Any) -> None:
        self.loop.call_later(seconds, happen, *args, context=OUTSIDE)

    async def point(self, name: str) -> None:
        """A durable boundary."""
        if self._reached(name):
            await self.loop.create_future()  # for ever

    def point_now(self, name: str) -> None:
        """The same within a step."""
        if self._reached(name):
            raise Killed

    def _reached(self, name: str) -> bool:
        process = PROCESS.get()
        if self._killer is not None and process is not None and self._killer(self, name, process):
            self.fell(process)
        return process is not None and process.dead

    def fell(self, process: Process) -> None:
        self._kill_driver() if process is self.driver else self.kill(process.name)

    # ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _at_random(self, happen: Callable[[], object]) -> None:
        self.later(self.random.uniform(0.5, self.plan.fire_s), happen)

    def _kill_one(self) -> None:
        if self.processes and self.ended is None:
            self.kill(self.random.choice([name for name in self.names if name.startswith(self.plan.victims)]))

    def _pause_one(self) -> None:
        process = self.processes.get(self.random.choice(self.names))
        if process is not None and not process.dead and not process.stopped:
            self.note(f"stop {process.name}")
            process.stopped = True
            self.later(self.random.choice((1.0, 5.0, 20.0, 30.0)), self.loop.go_on, process)

    def _outage(self) -> None:
        how = "away" if self.random.random() < 0.6 else "hung"
        seconds = self.random.uniform(0.3, 12.0)
        setattr(self.database, how, True)
        self.note(f"database {how}")
        self.outages.append((self.loop.now, self.loop.now + seconds))
        self.later(seconds, setattr, self.database, how, False)

    def _kill_driver(self) -> None:
        if self.driver is None or self.driver.dead or self.ended is not None:
            return
        self.note("kill driver")
        self.driver.dead = True
        self.driver_deaths.append((self.loop.now, self.loop.now))
        for name in self.names:
            if name in self.processes:
                self.later(self.random.uniform(*DRIVER_LEAVES_S), self._die, self.processes[name])

    def _jump(self) -> None:
        self._wall += timedelta(seconds=self.random.choice((-86_400.0, -3.0, 3.0, 86_400.0)))
        self.note(f"jump to {self._wall}")

    # ── clocks and notes ─────────────────────────────────────────────────────────────────────────────────────────────

    def wall(self, zone: object = None) -> datetime:
        return START + self._wall + timedelta(seconds=self.loop.now - 1000.0)

    def note(self, what: str) -> None:
        self.spoken.append(f"{self.loop.now:.6f} {what}")

    def defect(self, what: str) -> None:
        self.note(f"defect {what}")
        self.defects.append(what)

    def __repr__(self) -> str:
        return f"{len(self.spoken)} events, {Counter(line.split()[1] for line in self.spoken).most_common(5)}"


def _call(index: int) -> tuple[int, str, str]:
    at = 2 + index % 17
    ref = WINDOW[at - 1]
    return at, ref, "ACGT"[("ACGT".index(ref) + 1 + index % 3) % 4]


def _read(index: int) -> Read:
    at, ref, alt = _call(index)
    seq = WINDOW[: at - 1] + alt + WINDOW[at:]
    return Read(index, f"hx{index}", "c", 0, "+", WINDOW, seq, None, (Variant(at, ref, alt, "SNV", "snv"),), True, None, None, None)
