"""Requests on record before they are sent, and money authorised before it is granted: the sink's side."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

import pytest

from helix_ray.config import SinkConfig
from helix_ray.errors import DatabaseLostError, RunBusyError
from helix_ray.records import ApiCall, CallState, Disposition, ReadResult
from helix_ray.sink.engine import SinkEngine
from helix_ray.storage.ledger import RunRow, WriteOutcome
from helix_ray.storage.rows import utc_now
from support.list_source import sample_read
from support.manual_clock import ManualClock
from support.memory_ledger import MemoryLedger

RUN_ID = str(uuid.UUID(int=3))
WORST = Decimal("0.01")


class GatedLedger(MemoryLedger):
    """Batches of reads and intents each wait at a gate of their own; what was intended together is remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.writes, self.intents, self.claims = asyncio.Event(), asyncio.Event(), asyncio.Event()
        for gate in (self.writes, self.intents, self.claims):
            gate.set()
        self.intended: list[list[str]] = []
        self.away: list[Exception] = []
        self.refused: Exception | None = None

    async def claim(self, run_id: str) -> None:
        await self.claims.wait()
        if self.refused is not None:
            raise self.refused

    async def write_batch(self, run_id: str, results: object, calls: object) -> WriteOutcome:
        await self.writes.wait()
        return await super().write_batch(run_id, results, calls)  # type: ignore[arg-type]

    async def intend(self, run_id: str, calls: Sequence[ApiCall]) -> None:
        await self.intents.wait()
        if self.away:
            raise self.away.pop(0)
        self.intended.append([call.call_id for call in calls])
        await super().intend(run_id, calls)


@dataclass
class Bench:
    engine: SinkEngine
    ledger: GatedLedger
    clock: ManualClock

    def intend(self, *names: str) -> asyncio.Task[None]:
        calls = [ApiCall(name, "analysis", 1, [1], CallState.INTENDED, None, "m", worst_case_usd=WORST) for name in names]
        return asyncio.create_task(self.engine.intend(calls))


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    ledger, clock = GatedLedger(), ManualClock()
    await ledger.start_run(RunRow(RUN_ID, "n", "{}", "h", 1, {}, None, utc_now(), "emulator", True))

    async def ack(indices: list[int]) -> None:
        return None

    engine = SinkEngine(
        RUN_ID,
        ledger,
        SinkConfig(batch_size=4, flush_interval_s=1.0, outage_timeout_s=60.0),
        clock,
        checksum=lambda ref_seq, seq, truth: 0,
        ack=ack,
    )
    yield Bench(engine, ledger, clock)
    for gate in (ledger.writes, ledger.intents, ledger.claims):
        gate.set()
    await engine.stop()


async def turns(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_intents_of_many_callers_share_a_commit_and_wait_for_no_batch_of_reads() -> None:
    async with bench() as b:
        b.ledger.writes.clear()
        write = asyncio.create_task(b.engine.write([ReadResult(sample_read(index), Disposition.STORED) for index in range(4)], []))
        b.ledger.intents.clear()
        first = b.intend("a")
        await turns()
        others = [b.intend("b", "c"), b.intend("d")]
        await turns()
        b.ledger.intents.set()
        await asyncio.gather(first, *others)
        assert b.ledger.intended == [["a"], ["b", "c", "d"]]
        assert not write.done()
        assert await b.ledger.spent_usd(RUN_ID) == 4 * WORST
        b.ledger.writes.set()
        await write


async def test_nothing_is_intended_or_authorised_before_the_run_is_claimed() -> None:
    async with bench() as b:
        b.ledger.claims.clear()
        intent, authority = b.intend("a"), asyncio.create_task(b.engine.authorise(Decimal(1)))
        await turns()
        assert not intent.done()
        assert not authority.done()
        b.ledger.claims.set()
        await intent
        assert await authority == Decimal(1)
        assert await b.engine.authorise(Decimal("0.5")) == Decimal(1)
        assert await b.ledger.reserved_usd(RUN_ID) == Decimal(1)


async def test_while_the_database_is_away_intents_wait() -> None:
    async with bench() as b:
        b.ledger.away = [DatabaseLostError("away")] * 3
        intent = b.intend("a")
        await b.clock.until_sleeping()
        assert not intent.done()
        await b.clock.advance(20.0)
        await intent
        assert b.ledger.intended == [["a"]]


async def test_a_sink_that_gave_up_takes_no_intents() -> None:
    async with bench() as b:
        b.ledger.refused = RunBusyError("busy")
        with pytest.raises(RunBusyError):
            await b.intend("a")
        with pytest.raises(RunBusyError):
            await b.engine.authorise(Decimal(1))
        assert b.ledger.intended == []


async def test_stop_tells_who_still_waits() -> None:
    async with bench() as b:
        b.ledger.intents.clear()
        intent = b.intend("a")
        await turns()
        await b.engine.stop()
        with pytest.raises(DatabaseLostError, match="stopped"):
            await intent
