"""The analyzer as an actor, with the real queue and throttle, and the real SDK over HTTP; in Ray where its life matters."""

import asyncio
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from ray import cloudpickle

from fix_ray import until
from helix_ray.actors import api, peers
from helix_ray.actors.analyzer import AnalyzerActor
from helix_ray.actors.queue import QueueActor
from helix_ray.actors.throttle import ThrottleActor
from helix_ray.clock import SystemClock
from helix_ray.config import Config, SinkConfig
from helix_ray.environment.secrets import Secret
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import ApiCall, CallState, Disposition, Intent, ReadBatch, ReadResult, Receipt, Refused
from helix_ray.sink.engine import SinkEngine
from helix_ray.storage.spool import decoded
from support.fault_server import Exchange, FaultServer
from support.ledger_values import run_row
from support.list_source import sample_reads
from support.scripted_llm import completion
from support.sink_bench import RUN_ID, GatedLedger, bases_and_alleles

COUNT = 60

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers cannot import a test file


class RecordingSink:
    """Keeps what it is given and tells the queue, as the sink does after its commit."""

    def __init__(self) -> None:
        self.results: list[ReadResult] = []
        self.calls: list[ApiCall] = []

    async def intend(self, holder: str, intents: list[Intent], receipts: list[Receipt]) -> list[Refused]:
        return []

    async def write(self, holder: str, results: list[ReadResult], calls: list[ApiCall]) -> None:
        self.results += results
        self.calls += calls
        await peers.call(api.QUEUE, api.QueueApi.ack, [result.read.read_index for result in results])

    async def written(self) -> tuple[list[ReadResult], list[ApiCall]]:
        return self.results, self.calls


class HangingSink:
    """The sink's engine over a ledger in memory that can hang as a database does."""

    def __init__(self, spool: Path) -> None:
        self._ledger = GatedLedger()
        self._engine = SinkEngine(
            RUN_ID,
            self._ledger,
            SinkConfig(flush_interval_s=0.01),
            SystemClock(),
            checksum=bases_and_alleles,
            ack=lambda indices: peers.call(api.QUEUE, api.QueueApi.ack, indices),
            spool=spool,
        )

    async def start(self) -> None:
        await self._ledger.start_run(run_row(RUN_ID))

    async def hang(self) -> None:
        self._ledger.gate.clear()
        self._ledger.intents.clear()

    async def come_back(self) -> None:
        self._ledger.open_gates()

    async def intend(self, holder: str, intents: list[Intent], receipts: list[Receipt]) -> list[Refused]:
        return await self._engine.intend(holder, intents, receipts)

    async def write(self, holder: str, results: list[ReadResult], calls: list[ApiCall]) -> None:
        await self._engine.write(results, calls)

    async def counts(self) -> tuple[int, dict[str, int], int, Decimal]:
        counts = await self._ledger.counts(RUN_ID)
        return counts.rows, dict(counts.calls_by_state), counts.reads_repaid, counts.cost_usd


async def answer(exchange: Exchange) -> None:
    reply = completion(exchange.json(), [])
    exchange.send(reply.status, reply.body, reply.headers)


async def pipeline(start: Any, config: Config, url: str | None, sink_of: Any = RecordingSink, *spool: Path) -> tuple[Any, Any, Any]:
    queue = start(QueueActor, api.QUEUE, config.queue, max_concurrency=10_000)
    throttle = start(ThrottleActor, api.THROTTLE, config.throttle)
    sink = start(sink_of, api.SINK, *spool)
    analyzer = start(AnalyzerActor, api.analyzer(0), 0, config, url, "run", None, *spool)
    await queue.open.remote(IndexRanges(), 1)
    await throttle.restore.remote(Decimal(0))
    await queue.put.remote(0, ReadBatch.from_rows(sample_reads(COUNT, 0)))
    await queue.finish_input.remote(0, COUNT)
    return queue, sink, analyzer


async def test_every_read_is_answered_stored_and_acknowledged(start_actor: Any) -> None:
    failed: set[str] = set()

    async def fail_each_first_time(exchange: Exchange) -> None:
        text = json.dumps(exchange.json()["messages"])
        if len(failed) < 5 and text not in failed:
            failed.add(text)
            exchange.send(500, b"<html>oops</html>", {"content-type": "text/html"})
        else:
            await answer(exchange)

    config = Config.model_validate({"retry": {"base_delay_s": 0.01}})
    async with FaultServer(fail_each_first_time) as server:
        queue, sink, analyzer = await pipeline(start_actor, config, server.url)
        assert await analyzer.run.remote(Secret("key")) == "closed"
        results, calls = await sink.written.remote()
        stats = await queue.stats.remote()
        report = await analyzer.stats.remote()
        throttle = await peers.call(api.THROTTLE, api.ThrottleApi.stats)
    assert sorted(result.read.read_index for result in results) == list(range(COUNT))
    assert {result.disposition for result in results} == {Disposition.STORED}
    assert sorted(call.state for call in calls) == [CallState.ANSWERED] * COUNT + [CallState.FAILED] * 5
    assert (stats.acked, stats.leased, stats.nacked) == (COUNT, 0, 0)
    assert throttle.spent_usd == sum(call.cost_usd for call in calls)
    assert (throttle.in_flight, throttle.reserved_usd) == (0, 0)
    assert (report.analysed, report.held, report.unsaved) == (COUNT, 0, 0)


async def test_the_budget_holds_and_what_it_forbids_goes_back(start_local: Any) -> None:
    config = Config.model_validate({"throttle": {"max_cost_usd": 0.002}})
    async with FaultServer(answer) as server:
        queue, sink, analyzer = await pipeline(start_local, config, server.url)
        assert await analyzer.run.remote(Secret("key")) == "budget"
        results, calls = await sink.written.remote()
        stats = await queue.stats.remote()
    assert 0 < len(results) < COUNT
    assert sum(call.cost_usd for call in calls) <= Decimal("0.002")
    assert stats.waiting + stats.redelivered == COUNT - len(results)
    assert stats.leased == 0


async def test_a_drain_finishes_what_is_in_flight(start_actor: Any) -> None:
    release, all_there = asyncio.Event(), asyncio.Event()

    async with FaultServer(answer) as server:

        async def wait_after_the_first(exchange: Exchange) -> None:
            if len(server.exchanges) == 4:
                all_there.set()
            if len(server.exchanges) > 1:  # the throttle sends one alone, to learn the limits
                await release.wait()
            await answer(exchange)

        server.behaviour = wait_after_the_first
        config = Config.model_validate({"analyzer": {"requests_in_flight": 3}})
        queue, sink, analyzer = await pipeline(start_actor, config, server.url)
        run = analyzer.run.remote(Secret("key"))
        await all_there.wait()
        await queue.close_leases.remote()
        drain = analyzer.drain.remote(30.0)
        await analyzer.stats.remote()  # calls begin in the order in which they were sent: the drain has begun
        release.set()
        reply = await drain
        assert await run == "drained"
        results, _ = await sink.written.remote()
        stats = await queue.stats.remote()
    assert len(results) == 4
    assert (reply.unsaved, stats.waiting + stats.redelivered, stats.leased) == (0, COUNT - 4, 0)


async def test_the_aligner_needs_neither_key_nor_permit(start_local: Any) -> None:
    config = Config.model_validate({"analyzer": {"backend": "aligner"}})
    queue, sink, analyzer = await pipeline(start_local, config, None)
    assert await analyzer.run.remote(None) == "closed"
    results, calls = await sink.written.remote()
    assert (len(results), calls) == (COUNT, [])
    assert (await queue.stats.remote()).acked == COUNT


def spooled(folder: Path) -> int:
    """Answers that are on disk."""
    return sum(len(decoded(path.read_bytes())[0]) for path in folder.iterdir())


async def test_what_an_analyzer_received_while_the_database_hung_outlives_it(start_actor: Any, ray_cluster: Any, tmp_path: Path) -> None:
    at_once, release, all_there = 3, asyncio.Event(), asyncio.Event()

    async with FaultServer(answer) as server:

        async def wait_after_the_first(exchange: Exchange) -> None:
            if len(server.exchanges) == 1 + at_once:
                all_there.set()
            if len(server.exchanges) > 1:  # the throttle sends one alone, to learn the limits
                await release.wait()
            await answer(exchange)

        server.behaviour = wait_after_the_first
        config = Config.model_validate({"analyzer": {"requests_in_flight": at_once}})
        _, sink, analyzer = await pipeline(start_actor, config, server.url, HangingSink, tmp_path)
        await sink.start.remote()
        run = analyzer.run.options(max_task_retries=-1).remote(Secret("key"))
        await all_there.wait()
        await sink.hang.remote()
        release.set()

        async def received() -> bool:
            return spooled(tmp_path) == at_once

        await until(received)
        ray_cluster.kill(analyzer, no_restart=False)
        await sink.come_back.remote()
        assert await run == "closed"
        rows, states, repaid, _ = await sink.counts.remote()
    assert len(server.exchanges) == COUNT, "one request a read"
    assert (rows, states["answered"], repaid) == (COUNT, COUNT, 0)
