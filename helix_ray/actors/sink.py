"""The sink as an actor: finished reads into the ledger, then the word to the queue."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Sequence
from decimal import Decimal

from helix_ray.actors import peers
from helix_ray.actors.api import METRICS, QUEUE, SINK, MetricsApi, QueueApi, SinkApi
from helix_ray.clock import SystemClock
from helix_ray.config import SinkConfig
from helix_ray.metrics.recent import RecentRead
from helix_ray.native import rust
from helix_ray.records import ApiCall, DesiredState, ReadResult
from helix_ray.secrets import Secret
from helix_ray.sink.engine import SinkEngine, SinkPolicy, SinkStats, WriteReply
from helix_ray.storage.postgres import PostgresLedger

SHOWN_PER_S = 20
ACK_TIMEOUT_S = 10.0


class SinkActor(SinkApi):
    """Every method may be called again with the same arguments: rows, calls and acks are idempotent."""

    def __init__(self, run_id: str, database_url: Secret, config: SinkConfig) -> None:
        url = database_url.reveal()
        self._incarnation = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._engine = SinkEngine(
            run_id,
            PostgresLedger(url, config.statement_timeout_s),  # connects at its start
            SinkPolicy(config.batch_size, config.flush_interval_s, config.outage_timeout_s),
            SystemClock(),
            checksum=rust.checksum,
            ack=self._tell_queue,
            announce=self._show,
            intents=PostgresLedger(url, config.statement_timeout_s),
        )
        self._recent: list[ReadResult] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connects and claims the run now rather than at the first write; to be called once the run's start is recorded.

        Returns at once. A refusal is the `stats`' ``fatal_error``. Safe twice.
        """
        self._begin()
        await self._engine.start()

    async def ping(self) -> str:
        self._begin()
        self._engine.check()
        for task in filter(asyncio.Task.done, self._tasks):
            task.result()
        return self._incarnation

    async def intend(self, holder: str, calls: Sequence[ApiCall]) -> None:
        self._begin()
        await self._engine.intend(calls)

    async def authorise(self, total_usd: Decimal) -> Decimal:
        self._begin()
        return await self._engine.authorise(total_usd)

    async def write(self, holder: str, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> WriteReply:
        self._begin()
        return await self._engine.write(results, calls)

    async def flush(self) -> None:
        await self._engine.flush()

    async def stats(self) -> SinkStats:
        return self._engine.stats()

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await self._engine.stop()

    def _begin(self) -> None:
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._beat()), asyncio.create_task(self._show_forever())]

    async def _tell_queue(self, read_indices: list[int]) -> object:
        return await peers.call_within(ACK_TIMEOUT_S, QUEUE, QueueApi.ack, read_indices)

    def _show(self, results: list[ReadResult]) -> None:
        self._recent = [*self._recent, *results][-SHOWN_PER_S:]

    async def _show_forever(self) -> None:
        """The page gets a sample, once a second; one that is lost is not missed."""
        while True:
            await asyncio.sleep(1.0)
            chosen, self._recent = self._recent, []
            if chosen:
                await peers.call_or_none(METRICS, MetricsApi.add_recent, [RecentRead.from_result(result) for result in chosen])

    async def _beat(self) -> None:
        from helix_ray.actors.heartbeat import Heartbeat  # noqa: PLC0415

        await Heartbeat().beat(SINK, lambda: self._engine.stats().counters(), _adopt, self._text)

    def _text(self) -> dict[str, str]:
        stats = self._engine.stats()
        found = {"last_error": stats.last_error, "fatal_error": stats.fatal_error}
        return {name: value for name, value in found.items() if value is not None}


def _adopt(state: DesiredState) -> None:
    """Control has no wish that concerns the sink: it stores what it is given, paused or not."""
