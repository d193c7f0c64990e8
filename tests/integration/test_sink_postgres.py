"""The sink on a real PostgreSQL that is hit while it works: nothing is lost, nothing is stored twice."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import psycopg
import pytest

from helix_ray.clock import SystemClock
from helix_ray.config import SinkConfig
from helix_ray.errors import DatabaseLostError
from helix_ray.records import ApiCall, CallState, Disposition, ReadResult, ScoredVariant
from helix_ray.sink.engine import SinkEngine
from helix_ray.storage.embedded import EmbeddedServer
from helix_ray.storage.ledger import RunCounts, RunRow, WriteOutcome
from helix_ray.storage.postgres import PostgresLedger
from helix_ray.storage.rows import utc_now
from support.list_source import sample_read

RUN_ID = str(uuid.UUID(int=11))
WRITES, READS_PER_WRITE = 200, 5


def result(index: int) -> ReadResult:
    truth = ScoredVariant("truth", 3, "A", "T", "SNV", "snv", None, None, "FN", None)
    return ReadResult(sample_read(index), Disposition.STORED, [truth], call_id=str(uuid.UUID(int=index)), latency_ms=1.0)


def call(number: int, indices: list[int]) -> ApiCall:
    return ApiCall(str(uuid.UUID(int=number)), "analysis", 1, indices, CallState.ANSWERED, 200, "m", 1, 0, 1, Decimal(1), Decimal("0.001"))


class ForgetfulLedger(PostgresLedger):
    """The answer to every third COMMIT is lost."""

    writes = 0

    async def write_batch(self, run_id: str, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> WriteOutcome:
        outcome = await super().write_batch(run_id, results, calls)
        self.writes += 1
        if self.writes % 3 == 0:
            raise DatabaseLostError("the answer was lost")
        return outcome


@asynccontextmanager
async def sink(ledger: PostgresLedger, outage_timeout_s: float = 120.0) -> AsyncIterator[tuple[SinkEngine, set[int]]]:
    acked: set[int] = set()

    async def ack(indices: list[int]) -> None:
        acked.update(indices)

    await ledger.start_run(RunRow(RUN_ID, "n", "{}", "h", 1, {}, None, utc_now(), "emulator", True))
    engine = SinkEngine(
        RUN_ID,
        ledger,
        SinkConfig(batch_size=50, flush_interval_s=0.01, outage_timeout_s=outage_timeout_s),
        SystemClock(),
        checksum=lambda *_: 0,
        ack=ack,
    )
    try:
        yield engine, acked
    finally:
        if engine.stats().fatal_error is None:
            await engine.stop()
        else:
            await ledger.aclose()
            for task in filter(None, [engine._committing]):
                task.cancel()


async def flood(engine: SinkEngine, fault: Callable[[], Awaitable[object]], every: int) -> None:
    """Two hundred writes from ten callers, with a fault at every so many."""
    numbers = iter(range(WRITES))

    async def caller() -> None:
        for number in numbers:
            indices = list(range(number * READS_PER_WRITE, (number + 1) * READS_PER_WRITE))
            if number % every == every - 1:
                await fault()
            reply = await engine.write([result(index) for index in indices], [call(number, indices)])
            assert reply.committed == indices

    await asyncio.gather(*(caller() for _ in range(10)))
    await engine.flush()


async def assert_all_there_once(url: str, acked: set[int]) -> None:
    total = WRITES * READS_PER_WRITE
    assert acked == set(range(total))
    ledger = PostgresLedger(url)
    try:
        counts: RunCounts = await ledger.counts(RUN_ID)
        assert await ledger.done_ranges(RUN_ID) == [(0, total)]
        assert (counts.rows, counts.duplicates, counts.reads_repaid) == (total, 0, 0)
        assert (counts.requests, counts.cost_usd, counts.prompt_tokens) == (WRITES, Decimal("0.001") * WRITES, WRITES)
        assert (await ledger.scores(RUN_ID)).profiles["SNV"] == {(0, 1, 0, 0): total}
    finally:
        await ledger.aclose()
    with psycopg.connect(url) as connection:
        totals = connection.execute("select reads_stored, requests, cost_usd from helix.runs").fetchone()
    assert totals == (total, WRITES, Decimal("0.001") * WRITES)


async def test_backends_that_are_terminated(database_url: str) -> None:
    other = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    query = (
        "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity "
        "where application_name = 'helix-throttle' and datname = current_database()"
    )
    async with other, sink(PostgresLedger(database_url, 10.0)) as (engine, acked):
        await flood(engine, lambda: other.execute(query), every=20)
        assert engine.stats().retries > 0
    await assert_all_there_once(database_url, acked)


async def test_commits_whose_answer_is_lost(database_url: str) -> None:
    async def nothing() -> None:
        return None

    async with sink(ForgetfulLedger(database_url, 10.0)) as (engine, acked):
        await flood(engine, nothing, every=WRITES)
        stats = engine.stats()
        assert stats.replayed > 0
        assert (stats.suppressed, stats.committed_reads) == (0, WRITES * READS_PER_WRITE)
    await assert_all_there_once(database_url, acked)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_server_that_stops_and_comes_back(postgres_server: EmbeddedServer, database_url: str, mode: str) -> None:
    async def restart() -> None:
        await asyncio.to_thread(postgres_server.halt, mode)
        await asyncio.to_thread(postgres_server.join)

    async with sink(PostgresLedger(database_url, 10.0)) as (engine, acked):
        await flood(engine, restart, every=100)
    await assert_all_there_once(database_url, acked)


async def test_a_server_that_stays_away(postgres_server: EmbeddedServer, database_url: str) -> None:
    async with sink(PostgresLedger(database_url, 5.0), outage_timeout_s=1.0) as (engine, acked):
        await engine.write([result(0)], [])
        await engine.flush()
        await asyncio.to_thread(postgres_server.halt)
        try:
            with pytest.raises(DatabaseLostError, match="did not come back within 1 s"):
                await engine.write([result(1)], [])
        finally:
            await asyncio.to_thread(postgres_server.join)
        assert acked == {0}
        assert "did not come back" in (engine.stats().fatal_error or "")
        with pytest.raises(DatabaseLostError):
            await engine.write([result(1)], [])
