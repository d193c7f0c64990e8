"""The sink's engine over a ledger in memory whose calls wait at gates, on a clock that stands still."""

import asyncio
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from helix_ray.config import SinkConfig
from helix_ray.records import ApiCall, CallState, Disposition, Intent, ReadResult, Receipt, Refused
from helix_ray.sink.engine import SinkEngine
from helix_ray.storage.ledger import WriteOutcome
from support.ledger_values import run_row
from support.list_source import sample_read
from support.manual_clock import ManualClock
from support.memory_ledger import MemoryLedger

RUN_ID = str(uuid.UUID(int=3))
WORST = Decimal("0.01")


def bases_and_alleles(ref_seq: str, seq: str, truth: list[tuple[int, str, str]] | None) -> int:
    """A checksum that is good enough for a test."""
    return zlib.crc32(repr((ref_seq, seq, truth)).encode())


def results(*indices: int) -> list[ReadResult]:
    return [ReadResult(sample_read(index), Disposition.STORED) for index in indices]


class GatedLedger(MemoryLedger):
    """Batches of reads, intents and claims each wait at a gate of their own; what was intended together is remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.intents, self.claims, self.writing = (asyncio.Event() for _ in range(4))
        self.open_gates()
        self.intended: list[list[str]] = []
        self.away: list[Exception] = []
        self.refused: Exception | None = None

    def open_gates(self) -> None:
        for gate in (self.gate, self.intents, self.claims):
            gate.set()

    async def claim(self, run_id: str) -> None:
        await self.claims.wait()
        if self.refused is not None:
            raise self.refused
        await super().claim(run_id)

    async def write_batch(self, run_id: str, results: object, calls: object) -> WriteOutcome:
        self.writing.set()
        await self.gate.wait()
        return await super().write_batch(run_id, results, calls)  # type: ignore[arg-type]

    async def authorise(self, run_id: str, total_usd: Decimal) -> Decimal:
        if self.away:
            raise self.away.pop(0)
        return await super().authorise(run_id, total_usd)

    async def intend(
        self, run_id: str, intents: Sequence[Intent], receipts: Sequence[Receipt] = (), unsaved: Collection[int] = ()
    ) -> list[Refused]:
        await self.intents.wait()
        if self.away:
            raise self.away.pop(0)
        self.intended.append([intent.call.call_id for intent in intents])
        return await super().intend(run_id, intents, receipts, unsaved)


@dataclass
class Bench:
    engine: SinkEngine
    ledger: GatedLedger
    clock: ManualClock
    acked: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)

    def write(self, *indices: int) -> asyncio.Task[object]:
        return asyncio.create_task(self.engine.write(results(*indices), []))

    def intend(
        self, *names: str, read: int = 1001, receipts: Sequence[Receipt] = (), holder: str = "analyzer-0@a"
    ) -> asyncio.Task[list[Refused]]:
        calls = [ApiCall(name, "analysis", 1, [read], CallState.INTENDED, None, "m", worst_case_usd=WORST) for name in names]
        return asyncio.create_task(self.engine.intend(holder, [Intent(call) for call in calls], receipts))


@asynccontextmanager
async def bench(
    batch_size: int = 4,
    flush_s: float = 1.0,
    outage_s: float = 60.0,
    in_charge: Callable[[], bool] = lambda: True,
    spool: Path | None = None,
) -> AsyncIterator[Bench]:
    ledger, clock = GatedLedger(), ManualClock()
    await ledger.start_run(run_row(RUN_ID))
    made: Bench

    async def ack(indices: list[int]) -> None:
        made.acked.extend(indices)

    engine = SinkEngine(
        RUN_ID,
        ledger,
        SinkConfig(batch_size=batch_size, flush_interval_s=flush_s, outage_timeout_s=outage_s),
        clock,
        checksum=bases_and_alleles,
        ack=ack,
        announce=lambda shown: made.shown.extend(item.read.read_index for item in shown),
        in_charge=in_charge,
        spool=spool,
    )
    made = Bench(engine, ledger, clock)
    try:
        yield made
    finally:
        ledger.open_gates()
        committing, engine._committing = engine._committing, None
        if committing is not None:
            committing.cancel()
            await asyncio.gather(committing, return_exceptions=True)
        await engine.stop()
