"""The loop that every actor runs once a second: hear what control wants, tell metrics what was done."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping

import psutil
from ray.exceptions import RayError

from helix_ray.actors import peers
from helix_ray.actors.api import CONTROL, METRICS, ControlApi, MetricsApi, R
from helix_ray.actors.process_stats import LoopLag, Vitals
from helix_ray.actors.prometheus import GaugeMirror
from helix_ray.clock import Clock, SystemClock
from helix_ray.errors import HelixError
from helix_ray.metrics.incarnations import STARTED_AT
from helix_ray.records import DesiredState

INTERVAL_S = 1.0
MEMORY_INTERVAL_S = 10.0  # reading the smaps of a process costs some milliseconds

PEER_DOWN = (RayError, HelixError, TimeoutError, OSError)
"""How a call ends when the peer dies in it, cannot answer yet (control without its ledger), or Ray itself is going away."""

CountersFn = Callable[[], Mapping[str, float]]
AdoptFn = Callable[[DesiredState], Awaitable[None] | None]
StateFn = Callable[[], Awaitable[DesiredState | None]]
ReportFn = Callable[[str, Mapping[str, float], int, Mapping[str, str]], Awaitable[int | None]]


async def ask_control() -> DesiredState | None:
    return await peers.call_or_none(CONTROL, ControlApi.state)


async def tell_metrics(source: str, counters: Mapping[str, float], version: int, text: Mapping[str, str]) -> int | None:
    return await peers.call_or_none(METRICS, MetricsApi.report, source, counters, version, text)


class Heartbeat:
    """Never raises because a peer is down: without control the last adopted state stays, without metrics the report is dropped.

    An error of the actor's own ``counters_fn`` or ``adopt_fn`` does end the loop: that is a defect and must be seen.
    """

    def __init__(
        self, state: StateFn = ask_control, report: ReportFn = tell_metrics, clock: Clock | None = None, mirror: bool = True
    ) -> None:
        self._state = state
        self._report = report
        self._clock = clock or SystemClock()
        self._mirror_wanted = mirror
        self._mirror: GaugeMirror | None = None
        self._process = psutil.Process()
        self._vitals = Vitals(self._clock, self._process)
        self._lag = LoopLag(self._clock)
        self._pss_mb = 0.0
        self._measured_at: float | None = None
        self._adopted: DesiredState | None = None

    @property
    def version(self) -> int:
        """Of the desired state adopted last."""
        return self._adopted.version if self._adopted else 0

    async def beat(
        self, source: str, counters_fn: CountersFn, adopt_fn: AdoptFn, text_fn: Callable[[], Mapping[str, str]] | None = None
    ) -> None:
        """Runs until cancelled. ``source`` is the actor's own name; counters are absolute since its start."""
        measuring = asyncio.create_task(self._lag.run())
        try:
            while True:
                began = self._clock.monotonic()
                await self.once(source, counters_fn, adopt_fn, text_fn)
                await self._clock.sleep(max(0.05, INTERVAL_S - (self._clock.monotonic() - began)))
        finally:
            measuring.cancel()

    async def once(
        self, source: str, counters_fn: CountersFn, adopt_fn: AdoptFn, text_fn: Callable[[], Mapping[str, str]] | None = None
    ) -> None:
        desired = await _or_none(self._state())
        if desired is not None and desired != self._adopted:
            adopting = adopt_fn(desired)
            if inspect.isawaitable(adopting):
                await adopting
            self._adopted = desired
        own = {"pss_mb": await self._memory(), **self._vitals.take(), STARTED_AT: self._process.create_time()}
        lag_ms = self._lag.take_ms()
        counters = {**counters_fn(), **own, **({} if lag_ms is None else {"loop_lag_ms": lag_ms})}
        if self._mirror_wanted:
            self._mirror = self._mirror or GaugeMirror(source)
            self._mirror.show(counters)
        await _or_none(self._report(source, counters, self.version, dict(text_fn()) if text_fn else {}))

    async def _memory(self) -> float:
        """Proportional set size in MB: pages shared with n processes count one n-th."""
        now = self._clock.monotonic()
        if self._measured_at is None or now - self._measured_at >= MEMORY_INTERVAL_S:
            self._measured_at = now
            self._pss_mb = (await asyncio.to_thread(self._process.memory_full_info)).pss / 1e6
        return self._pss_mb


async def _or_none(asking: Awaitable[R]) -> R | None:
    try:
        return await asking
    except PEER_DOWN:
        return None  # shown by metrics as an actor that is not heard; the next beat tries again
