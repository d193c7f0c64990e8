"""The analysis engine with fakes for its peers, on a clock that stands still."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from helix_ray.analyzer.engine import AnalysisEngine
from helix_ray.analyzer.ports import DrainReply
from helix_ray.clock import Clock
from helix_ray.config import Config
from helix_ray.providers.prices import Tariff
from helix_ray.queueing.messages import Lease, LeaseReply
from helix_ray.records import ApiCall, CallState, Intent, Read, ReadBatch, ReadResult, Receipt, Refused, Variant
from helix_ray.storage.spool import Spool
from helix_ray.throttle.messages import AcquireReply, Exchange, Permit, PermitRequest, Refusal, Settlement
from support.manual_clock import ManualClock, turns
from support.scripted_llm import ScriptedLLM, completion

WINDOW = "ACGTACGTACGTACGTACGT"
MUTATED = "ACGTTCGTACGTACGTACGT"
TRUTH = (Variant(5, "A", "T", "SNV", "snv"),)
RIGHT = [(5, "A", "T")]


def read(index: int, **changed: Any) -> Read:
    plain = Read(index, f"hx{index}", "c", 0, "+", WINDOW, MUTATED, None, TRUTH, True, None, None, None)
    return plain._replace(**changed)


class FakeQueue:
    """Hands out one lease per call; closed when told so and nothing is left."""

    def __init__(self, reads: Sequence[Read], closed: bool, clock: Clock) -> None:
        self.clock = clock
        self.waiting = deque(reads)
        self.closed = closed
        self.asked: list[int] = []
        self.nacked: list[int] = []
        self.extended: list[list[str]] = []
        self.lost: set[str] = set()
        self.changed = asyncio.Event()
        self._count = 0

    def put(self, *reads: Read) -> None:
        self.waiting.extend(reads)
        self.changed.set()

    def close(self) -> None:
        self.closed = True
        self.changed.set()

    async def lease(self, max_reads: int, received: str | None) -> LeaseReply:
        self.asked.append(max_reads)
        assert received == (f"lease{self._count}" if self._count else None)
        if not self.waiting and not self.closed:
            self.changed.clear()
            events = [asyncio.ensure_future(self.changed.wait()), asyncio.ensure_future(self.clock.sleep(2.0))]
            await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
            for event in events:
                event.cancel()
        if not self.waiting:
            return LeaseReply("closed" if self.closed else "empty", "e", None)
        rows = [self.waiting.popleft() for _ in range(min(max_reads, len(self.waiting)))]
        self._count += 1
        lease = Lease(f"lease{self._count}", self._count, 120.0, ReadBatch.from_rows(rows), [7.0] * len(rows), [1] * len(rows))
        return LeaseReply("granted", "e", lease)

    async def extend(self, lease_ids: list[str]) -> list[str]:
        self.extended.append(lease_ids)
        return [lease_id for lease_id in lease_ids if lease_id in self.lost]

    async def nack(self, lease_id: str, fence: int, read_indices: list[int]) -> None:
        assert lease_id == f"lease{fence}"
        self.nacked += read_indices


class ToldApart(ABC):
    """A throttle that gets what it is told by kind, and each request in full. It leases nothing ahead."""

    def __init__(self) -> None:
        self.known: dict[str, PermitRequest] = {}

    async def exchange(self, told: Exchange) -> AcquireReply:
        self.known |= {request.want_id: request for request in told.requests if not request.ahead}
        if told.withdrawn:
            await self.withdraw(list(told.withdrawn))
        if told.settlements:
            await self.settle(list(told.settlements))
        asked = {*told.waiting, *(request.want_id for request in told.requests)}
        return await self.acquire([request for name, request in self.known.items() if name in asked]) if asked else AcquireReply([], None)

    @abstractmethod
    async def acquire(self, wants: list[PermitRequest]) -> AcquireReply: ...

    @abstractmethod
    async def withdraw(self, want_ids: list[str]) -> None: ...

    @abstractmethod
    async def settle(self, settlements: list[Settlement]) -> None: ...


class FakeThrottle(ToldApart):
    """Grants everything, or nothing while held, or refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.refusal: Refusal | None = None
        self.concurrency: int | None = None
        self.wants: list[PermitRequest] = []
        self.settlements: list[Settlement] = []
        self.withdrawn: list[str] = []
        self.stopped: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()

    async def acquire(self, wants: list[PermitRequest]) -> AcquireReply:
        self.wants += wants
        self.asked.set()
        await self.open.wait()
        if self.refusal is not None:
            return AcquireReply([], self.refusal, self.concurrency)
        return AcquireReply([Permit(want.want_id, f"p-{want.want_id}", 120.0) for want in wants], None, self.concurrency)

    async def withdraw(self, want_ids: list[str]) -> None:
        self.withdrawn += want_ids

    async def settle(self, settlements: list[Settlement]) -> None:
        self.settlements += settlements

    async def stop(self, message: str) -> None:
        self.stopped.append(message)

    def outcomes(self) -> list[str]:
        return [settlement.outcome for settlement in self.settlements]


class FakeSink:
    def __init__(self) -> None:
        self.results: list[ReadResult] = []
        self.calls: list[ApiCall] = []
        self.intended: list[ApiCall] = []
        self.intents: list[Intent] = []
        self.receipts: list[Receipt] = []
        self.refusals: list[Callable[[Intent], Refused | None]] = []  # for the next intents, in their order
        self.recording = asyncio.Event()
        self.recording.set()
        self.failures: list[Exception] = []
        self.writes = 0
        self.open = asyncio.Event()
        self.open.set()

    async def intend(self, intents: Sequence[Intent], receipts: Sequence[Receipt]) -> list[Refused]:
        await self.recording.wait()
        self.receipts += receipts
        self.intents += intents
        refused = [self.refusals.pop(0)(intent) for intent in intents if self.refusals]
        self.intended += [intent.call for intent in intents]
        return [each for each in refused if each is not None]

    async def write(self, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> None:
        self.writes += 1
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.results += results
        self.calls += calls

    def states(self) -> list[CallState]:
        return [call.state for call in self.calls]


@dataclass
class Rig:
    engine: AnalysisEngine
    llm: ScriptedLLM
    queue: FakeQueue
    clock: ManualClock
    throttle: FakeThrottle = field(default_factory=FakeThrottle)
    sink: FakeSink = field(default_factory=FakeSink)

    async def settle_down(self) -> None:
        await turns(100)

    async def finish(self) -> str:
        """Runs to the end, moving the clock on whenever everybody waits for it."""
        run = asyncio.create_task(self.engine.run())
        for _ in range(300):
            await self.settle_down()
            if run.done():
                break
            await self.clock.advance(1.0)
        return run.result()

    async def finished(self) -> Rig:
        await self.finish()
        return self

    async def begin_drain(self, timeout_s: float) -> asyncio.Task[DrainReply]:
        """A drain that has asked for everything it waits for."""
        draining = asyncio.create_task(self.engine.drain(timeout_s))
        await self.settle_down()
        return draining

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[str]]:
        run = asyncio.create_task(self.engine.run())
        await self.settle_down()
        yield run
        if not run.done():
            self.queue.close()
            self.throttle.open.set()
            self.sink.open.set()
            self.llm.release()
            draining = asyncio.create_task(self.engine.drain(1.0))
            while not run.done():
                await self.clock.advance(1.0)
            await draining


def rig(
    reads: Sequence[Read],
    script: Sequence[Any] = (),
    otherwise: Callable[[dict[str, Any]], Any] | None = None,
    *,
    closed: bool = True,
    backend: bool = True,
    batch_size: int = 4,
    max_attempts: int = 3,
    tariff: Tariff | None = None,
    spool: Spool | None = None,
    **analyzer: Any,
) -> Rig:
    """``analyzer``: keys of its section."""
    config = Config.model_validate(
        {
            "analyzer": {"backend": "emulator" if backend else "aligner", "requests_in_flight": 4} | analyzer,
            "source": {"batch_size": batch_size},
            "retry": {"max_attempts": max_attempts},
            "queue": {"lease_timeout_s": 30.0},
        }
    )
    llm, clock = ScriptedLLM(script, otherwise or (lambda payload: completion(payload, RIGHT))), ManualClock()
    queue, throttle, sink = FakeQueue(reads, closed, clock), FakeThrottle(), FakeSink()
    engine = AnalysisEngine(
        config,
        queue,
        throttle,
        sink,
        llm if backend else None,
        clock=clock,
        nonce="run",
        rng=random.Random(1),
        linger_s=0.0,
        tariff=tariff,
        spool=spool,
    )
    return Rig(engine, llm, queue, clock, throttle, sink)
