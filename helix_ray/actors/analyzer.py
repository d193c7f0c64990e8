"""An analyzer as an actor: it knows its peers by name and hosts an `AnalysisEngine`."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path

from helix_ray.actors import api, nodes, peers
from helix_ray.actors.api import QUEUE, THROTTLE, AnalyzerApi, QueueApi, ThrottleApi, begin_incarnation
from helix_ray.actors.heartbeat import Heartbeat
from helix_ray.actors.peers import ANSWER_MARGIN_S, AnalyzerPeers
from helix_ray.analyzer.engine import AnalysisEngine
from helix_ray.analyzer.ports import DrainReply
from helix_ray.backends.chat import ChatBackend
from helix_ray.clock import SystemClock
from helix_ray.config import Config
from helix_ray.environment.logs import RunLog
from helix_ray.environment.secrets import Secret
from helix_ray.errors import HelixError
from helix_ray.metrics.reports import AnalyzerReport
from helix_ray.providers.prices import Tariff
from helix_ray.records import AnalyzerEnd
from helix_ray.storage.spool import Spool

MAX_CONNECTIONS = 1024
"""The most to which requests_in_flight can be raised live; connections are opened as they are needed."""


class AnalyzerActor(AnalyzerApi):
    """``emulator_url``: the address of backend emulator. ``tariff``: what its tokens cost, None: as the table has it.
    ``spool``: the folder of the run's spools, None, or on another node than the sink: answers that are not on record yet die
    with this process.
    """

    def __init__(
        self,
        index: int,
        config: Config,
        emulator_url: str | None,
        run_nonce: str,
        tariff: Tariff | None = None,
        spool: Path | None = None,
        run_log: RunLog | None = None,
    ) -> None:
        self._name = str(api.analyzer(index))
        self._config = config
        self._emulator_url = emulator_url
        self._run_nonce = run_nonce
        self._tariff = tariff
        self._incarnation = begin_incarnation(self._name, run_log)
        kept = spool is not None and (run_log is None or nodes.home_elsewhere(run_log.driver_node) is None)
        self._spool = Spool(spool / f"{self._name}-{self._incarnation}") if spool is not None and kept else None
        self._engine: AnalysisEngine | None = None
        self._drained = False  # before it ran
        self._backend: ChatBackend | None = None
        self._heart: Heartbeat | None = None
        self._beat: asyncio.Task[None] | None = None
        self._greeting: asyncio.Task[None] | None = None

    async def ping(self) -> str:
        if self._beat is not None and self._beat.done():
            self._beat.result()
        return self._incarnation

    async def run(self, api_key: Secret | None, package: str | None = None) -> AnalyzerEnd:
        if package is not None:
            await nodes.end_if_foreign(package)
        engine = self._make_engine(api_key)
        if self._beat is None:  # the first run of this incarnation: before all else, what its predecessor held is free again
            await asyncio.gather(
                peers.call_within(ANSWER_MARGIN_S, QUEUE, QueueApi.release, self._name),
                peers.call_within(ANSWER_MARGIN_S, THROTTLE, ThrottleApi.release, self._name),
            )
            if self._drained:
                await engine.drain(0.0)
            self._greeting = asyncio.create_task(self._greet_sink())
            self._heart = Heartbeat()
            self._beat = asyncio.create_task(self._heart.beat(self._name, engine.report, engine.apply))
        try:
            return await engine.run()
        finally:
            if self._greeting is not None:
                self._greeting.cancel()
            if self._backend is not None:
                await self._backend.aclose()
            if self._spool is not None:
                self._spool.close()

    async def _greet_sink(self) -> None:
        """Also without a request of its own: the sink holds reads back from others for as long as the predecessor may ask about them."""
        with suppress(HelixError):  # a sink that has given up holds nothing back
            await AnalyzerPeers(self._name, self._incarnation).intend([], [])

    async def drain(self, timeout_s: float) -> DrainReply:
        if self._engine is None:  # it holds nothing, and will take nothing
            self._drained = True
            return DrainReply(0)
        reply = await self._engine.drain(timeout_s)
        if self._heart is not None:  # metrics gets the last counters too: what is shown last is what is stored
            await self._heart.once(self._name, self._engine.report, self._engine.apply)
        return reply

    async def stats(self) -> AnalyzerReport:
        return self._make_engine().report()

    def _make_engine(self, api_key: Secret | None = None) -> AnalysisEngine:
        """Made when first needed, since a constructor that raises would end the actor for good."""
        if self._engine is None:
            self._backend = self._make_backend(api_key)
            port = AnalyzerPeers(self._name, self._incarnation)
            rng = random.Random(f"{self._run_nonce} {self._incarnation}")  # noqa: S311  (jitter)
            clock = SystemClock()
            self._engine = AnalysisEngine(
                self._config,
                port,
                port,
                port,
                self._backend,
                clock=clock,
                nonce=self._run_nonce,
                rng=rng,
                tariff=self._tariff,
                spool=self._spool,
            )
        return self._engine

    def _make_backend(self, api_key: Secret | None) -> ChatBackend | None:
        if not self._config.analyzer.backend.asks_an_api:
            return None
        from helix_ray.backends.groq_client import open_chat  # noqa: PLC0415  (the SDK weighs 15 MB that the aligner needs not)

        return open_chat(self._config, api_key, MAX_CONNECTIONS, self._emulator_url)
