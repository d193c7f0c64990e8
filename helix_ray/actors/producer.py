"""A producer as an actor: it makes its source when it runs, and knows the queue by name."""

from __future__ import annotations

import asyncio

from helix_ray.actors import api
from helix_ray.actors.api import ProducerApi, begin_incarnation
from helix_ray.actors.heartbeat import Heartbeat
from helix_ray.actors.peers import ProducerPeers
from helix_ray.clock import SystemClock
from helix_ray.config import Config
from helix_ray.environment.logs import RunLog
from helix_ray.metrics.reports import ProducerReport
from helix_ray.producer.engine import ProducerEngine, Share
from helix_ray.producer.splitting import split
from helix_ray.records import DesiredState


class ProducerActor(ProducerApi):
    """Offers producer ``index``'s share of the source. ``run`` may be called again, after a restart or a new queue."""

    def __init__(self, index: int, config: Config, run_log: RunLog | None = None) -> None:
        self._index = index
        self._config = config
        self._incarnation = begin_incarnation(api.producer(index), run_log)
        self._state = DesiredState()
        self._engine: ProducerEngine | None = None
        self._making = asyncio.Lock()
        self._beating: asyncio.Task[None] | None = None

    async def ping(self) -> str:
        if self._beating is not None and self._beating.done():
            self._beating.result()
        return self._incarnation

    async def run(self) -> str:
        if self._beating is None:  # goes on when `run` has ended, so that the last counters are reported too
            self._beating = asyncio.create_task(Heartbeat().beat(api.producer(self._index), self._report, self._apply))
        async with self._making:  # a call that comes meanwhile shares the engine
            if self._engine is None:
                self._engine = await self._make_engine()
                self._engine.apply(self._state)
        return (await self._engine.run()).value

    def _apply(self, state: DesiredState) -> None:
        self._state = state
        if self._engine is not None:
            self._engine.apply(state)

    async def stats(self) -> ProducerReport:
        return self._report()

    def _report(self) -> ProducerReport:
        return ProducerReport() if self._engine is None else self._engine.stats.report()

    async def _make_engine(self) -> ProducerEngine:
        # imported late: the source's native code is needed by the run only
        from helix_ray.sources import make_source  # noqa: PLC0415

        config = self._config
        source = await asyncio.to_thread(make_source, config)
        share = Share(self._index, config.source.producers, config.source.batch_size)
        return ProducerEngine(share, source, ProducerPeers(self._index), split, config.source.rate_per_s, SystemClock())
