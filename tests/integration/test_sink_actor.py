"""The sink on a real PostgreSQL: its actor with scripted peers, and its engine while the database is hit."""

import asyncio
import pickle
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unittest.mock import Mock

import psutil
import psycopg
import pytest

from helix_ray.actors import api, heartbeat, peers
from helix_ray.actors.sink import SinkActor
from helix_ray.analyzer.leased_reads import ReadTask
from helix_ray.analyzer.read_results import ResultMaker
from helix_ray.clock import SystemClock
from helix_ray.config import Config, SinkConfig
from helix_ray.environment.processes import Driver
from helix_ray.environment.secrets import Secret
from helix_ray.errors import DatabaseLostError, DriverGoneError, RunBusyError
from helix_ray.metrics.recent import RecentRead
from helix_ray.records import ApiCall, CallState, Disposition, Intent, ReadResult, Receipt, ScoredVariant
from helix_ray.sink.engine import SinkEngine
from helix_ray.sources.synthetic import SyntheticSource
from helix_ray.storage import postgres_session
from helix_ray.storage.embedded import EmbeddedServer
from helix_ray.storage.ledger import RunCounts, RunRow, WriteOutcome
from helix_ray.storage.postgres import PostgresLedger
from helix_ray.storage.rows import utc_now
from support.list_source import sample_read

ENGINES_RUN = str(uuid.UUID(int=11))
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

    await ledger.start_run(RunRow(ENGINES_RUN, "n", "{}", "h", 1, {}, None, utc_now(), "emulator", True))
    engine = SinkEngine(
        ENGINES_RUN,
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
        counts: RunCounts = await ledger.counts(ENGINES_RUN)
        assert [*await ledger.done_ranges(ENGINES_RUN)] == [(0, total)]
        assert (counts.rows, counts.duplicates, counts.reads_repaid) == (total, 0, 0)
        assert (counts.requests, counts.cost_usd, counts.prompt_tokens) == (WRITES, Decimal("0.001") * WRITES, WRITES)
        assert (await ledger.scores(ENGINES_RUN)).profiles["SNV"] == {(0, 1, 0, 0): total}
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


RUN_ID = str(uuid.UUID(int=21))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the queue and metrics were told."""
    heard: dict[str, Any] = {"acked": [], "recent": asyncio.Queue()}

    async def call_within(timeout_s: float, to: str, method: object, *args: Any) -> int:
        assert (to, method) == (api.QUEUE, api.QueueApi.ack)
        heard["acked"].extend(args[0])
        return len(args[0])

    async def call_or_none(to: str, method: object, *args: Any) -> None:
        if (to, method) == (api.METRICS, api.MetricsApi.add_recent):
            heard["recent"].put_nowait(args[0])

    monkeypatch.setattr(peers, "call_within", call_within)
    monkeypatch.setattr(peers, "call_or_none", call_or_none)
    monkeypatch.setattr(heartbeat, "PrometheusMirror", lambda source: Mock())
    return heard


RUNNING: set[asyncio.Task[str]] = set()


def run(sink: SinkActor, url: str) -> None:
    """As the pipeline runs it. It ends with the sink's `stop`."""
    running = asyncio.create_task(sink.run(Secret(url)))
    RUNNING.add(running)
    running.add_done_callback(RUNNING.discard)


async def recorded(url: str) -> SinkActor:
    """A sink that does not run yet, of a run with a row."""
    ledger = await PostgresLedger.connect(url)
    await ledger.start_run(RunRow(RUN_ID, "n", "{}", "h", 1, {}, None, utc_now(), "emulator", True))
    await ledger.aclose()
    return SinkActor(RUN_ID, SinkConfig())


async def started(url: str) -> SinkActor:
    sink = await recorded(url)
    run(sink, url)
    return sink


async def test_rows_acks_recent_reads_and_stats(database_url: str, told: dict[str, Any]) -> None:
    sink = await started(database_url)
    incarnation = await sink.ping()
    results = [ReadResult(sample_read(index), Disposition.STORED, mutation_detected=False) for index in range(60)]
    assert (await sink.write("helix-analyzer-0", results, [])).committed == list(range(60))
    await sink.flush()
    assert sorted(told["acked"]) == list(range(60))
    recent = await asyncio.wait_for(told["recent"].get(), 30)
    assert len(recent) == 20, "a sample, not the flood"
    assert all(isinstance(read, RecentRead) for read in recent)
    stats = pickle.loads(pickle.dumps(await sink.stats()))
    assert (stats.committed_reads, stats.buffered, stats.unacked, stats.fatal_error) == (60, 0, 0, None)
    assert await sink.ping() == incarnation
    await sink.stop()
    await sink.stop()


async def test_generated_reads_come_back_as_they_were_made_and_a_damaged_one_is_found(database_url: str, told: dict[str, Any]) -> None:
    model = {"base_error_rate": 0.01, "quality_model": "binned:[2,12,23,37]", "n_rate": 0.01, "strand_flip_prob": 0.5}
    config = Config.model_validate({"source": {"count": 40, "batch_size": 40, "mutation": model}})
    block = SyntheticSource(config).block(0)
    assert block is not None
    made = block.rows()
    sent = [*made[:7], made[7]._replace(seq=made[7].ref_seq[::-1]), *made[8:]]
    sink = await started(database_url)
    maker = ResultMaker("aligner")
    await sink.write("helix-analyzer-0", [maker.aligned(ReadTask(read, "lease", 0.0), utc_now()) for read in sent], [])
    await sink.flush()
    assert ((await sink.stats()).corrupted, len(told["acked"])) == (1, 40)
    await sink.stop()
    ledger = PostgresLedger(database_url)
    stored = await ledger.read_reads(RUN_ID, -1, 100)
    counts, ceiling = await ledger.counts(RUN_ID), (await ledger.scores(RUN_ID)).ceiling.by("type")
    await ledger.aclose()
    assert [read for read in stored if read.read_index != 7] == made[:7] + made[8:]
    assert (stored[7].disposition, stored[7].truth) == (Disposition.DEAD_LETTER, None)
    assert str(made[7].checksum) in (stored[7].reason or "")
    assert counts.by_disposition == {"stored": 39, "dead_letter": 1}
    assert sum(row.tp + row.fn for row in ceiling.values()) == sum(len(read.truth or ()) for read in made if read.read_index != 7)


async def test_a_started_sink_is_the_only_writer(database_url: str, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_session, "CLAIM_TIMEOUT_S", 0.0)
    row = RunRow(RUN_ID, "n", "{}", "h", 1, {}, None, utc_now(), "emulator", True)
    sink, driver, other = await recorded(database_url), PostgresLedger(database_url), await recorded(database_url)
    await sink.ping()
    await driver.resume_run(RUN_ID, row)  # a sink that is only there claims nothing
    run(sink, database_url)
    assert (await sink.write("helix-analyzer-0", [ReadResult(sample_read(0), Disposition.STORED)], [])).committed == [0]
    with pytest.raises(RunBusyError):
        await driver.resume_run(RUN_ID, row)
    run(other, database_url)
    with pytest.raises(RunBusyError, match="written by another process"):
        await other.write("helix-analyzer-0", [ReadResult(sample_read(1), Disposition.STORED)], [])
    assert "written by another process" in str((await other.stats()).fatal_error)
    await sink.stop()
    monkeypatch.setattr(postgres_session, "CLAIM_TIMEOUT_S", 15.0)  # the server may take a moment to notice
    await driver.resume_run(RUN_ID, row)
    await other.stop()
    await driver.aclose()


async def test_a_sink_lets_nothing_be_sent_after_its_drivers_death(database_url: str, told: dict[str, Any]) -> None:
    await (await recorded(database_url)).stop()
    driver = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    sink = SinkActor(RUN_ID, SinkConfig(), Driver(driver.pid, psutil.Process(driver.pid).create_time()))
    run(sink, database_url)
    calls = [replace(call(number, [number]), state=CallState.INTENDED) for number in (1, 2)]
    assert await sink.intend("helix-analyzer-0", [Intent(calls[0])], []) == []
    driver.kill()
    await driver.wait()
    with pytest.raises(DriverGoneError):
        await sink.intend("helix-analyzer-0", [Intent(calls[1])], [Receipt(calls[0].call_id, [1], utc_now(), 200, b"{}")])
    await sink.stop()
    ledger = PostgresLedger(database_url)
    assert (await ledger.counts(RUN_ID)).calls_by_state == {"intended": 1}
    (refused,) = await ledger.intend(RUN_ID, [Intent(replace(calls[1], read_indices=[1]))])
    assert [stored.receipt.body for _, stored in refused.answers] == [b"{}"], "what was received is on record all the same"
    await ledger.aclose()


async def test_who_calls_a_sink_without_an_address_waits_for_it(database_url: str, told: dict[str, Any]) -> None:
    sink = await recorded(database_url)
    result = ReadResult(sample_read(0), Disposition.STORED)
    waiting = [asyncio.create_task(sink.write("helix-analyzer-0", [result], [])), asyncio.create_task(sink.authorise(Decimal(1)))]
    assert await sink.ping() == await sink.ping()
    assert not any(task.done() for task in waiting)
    run(sink, database_url)
    committed, authorised = await asyncio.gather(*waiting)
    assert (committed.committed, authorised) == ([0], Decimal(1))
    await sink.stop()


async def test_a_wrong_address_does_not_fail_the_constructor(told: dict[str, Any]) -> None:
    sink = SinkActor(RUN_ID, SinkConfig(outage_timeout_s=0.5))
    run(sink, "postgresql://u@/d?host=/nonexistent")
    write = asyncio.create_task(sink.write("helix-analyzer-0", [ReadResult(sample_read(0), Disposition.STORED)], []))
    await asyncio.wait([write], timeout=30)
    assert "did not come back within 0.5 s" in str(write.exception())
    assert "no socket there" in str((await sink.stats()).last_error)
    assert told["acked"] == []
    await sink.stop()
