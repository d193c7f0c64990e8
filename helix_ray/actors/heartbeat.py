"""The loop that every actor runs once a second: fetch what control wants, report to metrics what was done."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from ray.exceptions import RayError

from helix_ray.actors import peers
from helix_ray.actors.api import CONTROL, METRICS, ControlApi, MetricsApi, R
from helix_ray.actors.process_stats import ProcessStats
from helix_ray.actors.prometheus import PrometheusMirror
from helix_ray.clock import Clock, SystemClock
from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import HelixError
from helix_ray.metrics.reports import ProcessReport, Report
from helix_ray.records import DesiredState

log = event_logger(__name__)

INTERVAL_S = 1.0

PEER_DOWN = (RayError, HelixError, TimeoutError, OSError)
"""How a call ends when the peer dies in it, cannot answer yet (control without its ledger), or Ray itself is going away."""

BuildFn = Callable[[], Report]
ApplyFn = Callable[[DesiredState], Awaitable[None] | None]
StateFn = Callable[[], Awaitable[DesiredState | None]]
ReportFn = Callable[[str, Report, ProcessReport, int], Awaitable[int | None]]


async def ask_control() -> DesiredState | None:
    return await peers.call_or_none(CONTROL, ControlApi.state)


async def report_to_metrics(source: str, report: Report, process: ProcessReport, version: int) -> int | None:
    return await peers.call_or_none(METRICS, MetricsApi.report, source, report, process, version)


class Heartbeat:
    """Never raises because a peer is down: without control the last applied state stays, without metrics the report is dropped.

    An error of the actor's own ``build`` or ``apply`` does end the loop: that is a defect and must be seen.
    """

    def __init__(self, state: StateFn = ask_control, report: ReportFn = report_to_metrics, clock: Clock | None = None) -> None:
        self._state = state
        self._report = report
        self._clock = clock or SystemClock()
        self._mirror: PrometheusMirror | None = None
        self._process = ProcessStats(self._clock)
        self._applied: DesiredState | None = None

    @property
    def version(self) -> int:
        """Of the desired state applied last."""
        return self._applied.version if self._applied else 0

    async def beat(self, source: str, build: BuildFn, apply: ApplyFn) -> None:
        """Runs until cancelled. ``source`` is the actor's own name."""
        measuring = asyncio.create_task(self._process.lag.run())
        try:
            while True:
                began = self._clock.monotonic()
                await self.once(source, build, apply)
                await self._clock.sleep(max(0.05, INTERVAL_S - (self._clock.monotonic() - began)))
        finally:
            measuring.cancel()

    async def once(self, source: str, build: BuildFn, apply: ApplyFn) -> None:
        desired = await _or_none(self._state())
        if desired is not None and desired != self._applied:
            applying = apply(desired)
            if inspect.isawaitable(applying):
                await applying
            self._applied = desired
        process, report = await self._process.take(), build()
        self._mirror = self._mirror or PrometheusMirror(source)
        self._mirror.show(report, process)
        await _or_none(self._report(source, report, process, self.version))


async def _or_none(asking: Awaitable[R]) -> R | None:
    try:
        return await asking
    except PEER_DOWN as error:
        log.debug(Event.ERROR_HANDLED, what="a heartbeat had no answer", exc_info=error)
        return None  # metrics shows when the last report came; the next beat tries again
