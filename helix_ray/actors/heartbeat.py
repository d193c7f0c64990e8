"""The loop that every actor runs once a second: fetch what control wants, report to metrics what was done and what its process uses."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import Awaitable, Callable

import psutil
from ray.exceptions import RayError

from helix_ray.actors import peers
from helix_ray.actors.api import CONTROL, METRICS, ControlApi, MetricsApi, R
from helix_ray.actors.nodes import this_node
from helix_ray.actors.prometheus import PrometheusMirror
from helix_ray.clock import Clock, SystemClock
from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import HelixError
from helix_ray.metrics.reports import ProcessReport, Report
from helix_ray.records import DesiredState

log = event_logger(__name__)

INTERVAL_S = 1.0
TICK_S = 0.1
MEMORY_INTERVAL_S = 10.0  # reading the smaps of a process costs some milliseconds

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


class LoopLag:
    """How late the event loop runs what is due: what a sleep of `TICK_S` took longer. Garbage and other tasks show here alike."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._late_s = 0.0
        self._ticks = 0

    async def run(self) -> None:
        """Measures until cancelled."""
        while True:
            began = self._clock.monotonic()
            await self._clock.sleep(TICK_S)
            self._late_s += max(0.0, self._clock.monotonic() - began - TICK_S)
            self._ticks += 1

    def take_ms(self) -> float | None:
        """The mean since it was last taken; None when nothing was measured."""
        late_s, ticks = self._late_s, self._ticks
        self._late_s, self._ticks = 0.0, 0
        return 1000 * late_s / ticks if ticks else None


class ProcessStats:
    """Shares of CPU are those between two calls of `take`, which must come from the thread that runs the event loop."""

    def __init__(self, clock: Clock) -> None:
        self.lag = LoopLag(clock)
        self._clock = clock
        self._process = psutil.Process()
        self._started_at = self._process.create_time()
        self._cores = len(os.sched_getaffinity(0))
        self._before: tuple[float, float, float, float, float] | None = None
        self._pss_mb = 0.0
        self._measured_at: float | None = None

    async def take(self) -> ProcessReport:
        """Without shares the first time."""
        pss_mb = await self._memory()
        times, machine = self._process.cpu_times(), psutil.cpu_times()
        cpu_s, all_s = times.user + times.system, sum(machine[:8])  # guests are counted in user time already
        now = (self._clock.monotonic(), cpu_s, time.thread_time(), all_s, machine.idle + getattr(machine, "iowait", 0.0))
        before, self._before = self._before, now
        wall_s, own_s, loop_s, machine_s, idle_s = (new - old for new, old in zip(now, before or now, strict=True))
        return ProcessReport(
            started_at=self._started_at,
            pss_mb=pss_mb,
            cpu_s=cpu_s,
            machine_cores=self._cores,
            machine_busy=min(1.0, max(0.0, 1 - idle_s / machine_s)) if wall_s > 0 and machine_s > 0 else None,
            cpu_share=own_s / wall_s if wall_s > 0 else None,
            loop_busy=min(1.0, loop_s / wall_s) if wall_s > 0 else None,
            loop_lag_ms=self.lag.take_ms(),
            node=this_node(),
        )

    async def _memory(self) -> float:
        """Proportional set size in MB: pages shared with n processes count one n-th."""
        now = self._clock.monotonic()
        if self._measured_at is None or now - self._measured_at >= MEMORY_INTERVAL_S:
            self._measured_at = now
            self._pss_mb = (await asyncio.to_thread(self._process.memory_full_info)).pss / 1e6
        return self._pss_mb
