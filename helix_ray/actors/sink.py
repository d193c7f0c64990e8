"""The sink as an actor: writes finished reads to the ledger, then acknowledges them to the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from helix_ray.actors import peers
from helix_ray.actors.api import METRICS, QUEUE, SINK, MetricsApi, QueueApi, SinkApi, begin_incarnation
from helix_ray.actors.heartbeat import Heartbeat
from helix_ray.clock import SystemClock
from helix_ray.config import SinkConfig
from helix_ray.environment.logs import RunLog
from helix_ray.environment.processes import Driver, DriverWatch
from helix_ray.environment.secrets import Secret
from helix_ray.metrics.recent import RecentRead
from helix_ray.metrics.reports import SinkReport
from helix_ray.native import rust
from helix_ray.records import ApiCall, Intent, ReadResult, Receipt, Refused
from helix_ray.sink.engine import SinkEngine, WriteReply
from helix_ray.storage.postgres import PostgresLedger

SHOWN_PER_S = 20
ACK_TIMEOUT_S = 10.0


class SinkActor(SinkApi):
    """Every method may be called again with the same arguments: rows, calls and acks are idempotent.

    ``driver``: without it nothing is sent; None: nobody is watched. ``spool``: the folder of the run's spools.
    """

    def __init__(
        self, run_id: str, config: SinkConfig, driver: Driver | None = None, spool: Path | None = None, run_log: RunLog | None = None
    ) -> None:
        self._incarnation = begin_incarnation(SINK, run_log)
        self._run_id = run_id
        self._config = config
        self._driver = driver
        self._spool = spool
        self._watch: DriverWatch | None = None
        self._engine: SinkEngine | None = None
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._recent: list[ReadResult] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def ping(self) -> str:
        if self._engine is not None:
            self._engine.check()
        for task in filter(asyncio.Task.done, self._tasks):
            task.result()
        return self._incarnation

    async def run(self, database_url: Secret) -> str:
        if self._engine is None and not self._stopped.is_set():
            self._engine = self._make_engine(database_url.reveal())
            await self._engine.start()
            # the sink has no use for the desired state: it stores what it is given, paused or not
            beat = Heartbeat().beat(SINK, self._engine.stats, lambda state: None)
            self._tasks = [asyncio.create_task(beat), asyncio.create_task(self._show_forever())]
            self._started.set()
        await self._stopped.wait()
        return "stopped"

    async def intend(self, holder: str, intents: Sequence[Intent], receipts: Sequence[Receipt]) -> list[Refused]:
        return await (await self._running()).intend(holder, intents, receipts)

    async def revoke(self, call_ids: list[str]) -> list[str]:
        return await (await self._running()).revoke(call_ids)

    async def authorise(self, total_usd: Decimal) -> Decimal:
        return await (await self._running()).authorise(total_usd)

    async def write(self, holder: str, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> WriteReply:
        return await (await self._running()).write(results, calls)

    async def flush(self) -> None:
        await (await self._running()).flush()

    async def stats(self) -> SinkReport:
        return (await self._running()).stats()

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if self._engine is not None:
            await self._engine.stop()
        if self._watch is not None:
            self._watch.close()
        self._stopped.set()

    async def _running(self) -> SinkEngine:
        await self._started.wait()
        assert self._engine is not None
        return self._engine

    def _make_engine(self, url: str) -> SinkEngine:
        config = self._config
        if self._driver is not None:
            self._watch = DriverWatch(self._driver)
        return SinkEngine(
            self._run_id,
            PostgresLedger(url, config.statement_timeout_s),  # connects at its start
            config,
            SystemClock(),
            checksum=rust.checksum,
            ack=lambda read_indices: peers.call_within(ACK_TIMEOUT_S, QUEUE, QueueApi.ack, read_indices),
            announce=self._show,
            intents=PostgresLedger(url, config.statement_timeout_s),
            in_charge=lambda: self._watch is None or self._watch.alive,
            spool=self._spool,
        )

    def _show(self, results: list[ReadResult]) -> None:
        self._recent = [*self._recent, *results][-SHOWN_PER_S:]

    async def _show_forever(self) -> None:
        """The page gets a sample, once a second; one that is lost is not missed."""
        while True:
            await asyncio.sleep(1.0)
            chosen, self._recent = self._recent, []
            if chosen:
                await peers.call_or_none(METRICS, MetricsApi.add_recent, [RecentRead.from_result(result) for result in chosen])
