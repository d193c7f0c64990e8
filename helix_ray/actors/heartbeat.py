"""The loop that every actor runs once a second: fetch what control wants, report to metrics what was done."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Protocol

from ray.exceptions import RayError

from helix_ray.actors import names
from helix_ray.actors.peers import call_or_none
from helix_ray.actors.process_stats import ProcessStats
from helix_ray.actors.prometheus import PrometheusMirror
from helix_ray.clock import Clock, SystemClock
from helix_ray.errors import HelixError
from helix_ray.metrics.reports import Report
from helix_ray.records import DesiredState

INTERVAL_S = 1.0
PEER_TIMEOUT_S = 1.0

PEER_DOWN = (RayError, HelixError, TimeoutError, OSError)
"""How a call ends when the peer dies in it, cannot answer yet (control without its ledger), or Ray itself is going away."""

ReportFn = Callable[[], Report]
ApplyFn = Callable[[DesiredState], Awaitable[None] | None]


class Call(Protocol):
    async def __call__(self, name: str, method: str, *args: object, timeout_s: float) -> object: ...


class Heartbeat:
    """Never raises because a peer is down: without control the last applied state stays, without metrics the report is dropped.

    An error of the actor's own ``report_fn`` or ``apply_fn`` does end the loop: that is a defect and must be seen.
    """

    def __init__(self, call: Call = call_or_none, clock: Clock | None = None, mirror: bool = True) -> None:
        self._call = call
        self._clock = clock or SystemClock()
        self._mirror_wanted = mirror
        self._mirror: PrometheusMirror | None = None
        self._process = ProcessStats(self._clock)
        self._applied: DesiredState | None = None

    @property
    def version(self) -> int:
        """Of the desired state applied last."""
        return self._applied.version if self._applied else 0

    async def beat(self, source: str, report_fn: ReportFn, apply_fn: ApplyFn) -> None:
        """Runs until cancelled. ``source`` is the actor's own name."""
        measuring = asyncio.create_task(self._process.lag.run())
        try:
            while True:
                began = self._clock.monotonic()
                await self.once(source, report_fn, apply_fn)
                await self._clock.sleep(max(0.05, INTERVAL_S - (self._clock.monotonic() - began)))
        finally:
            measuring.cancel()

    async def once(self, source: str, report_fn: ReportFn, apply_fn: ApplyFn) -> None:
        desired = await self._ask(names.CONTROL, "state")
        if isinstance(desired, DesiredState) and desired != self._applied:
            applying = apply_fn(desired)
            if inspect.isawaitable(applying):
                await applying
            self._applied = desired
        process, report = await self._process.take(), report_fn()
        if self._mirror_wanted:
            self._mirror = self._mirror or PrometheusMirror(source)
            self._mirror.show(report, process)
        await self._ask(names.METRICS, "report", source, report, process, self.version)

    async def _ask(self, name: str, method: str, *args: object) -> object:
        try:
            return await self._call(name, method, *args, timeout_s=PEER_TIMEOUT_S)
        except PEER_DOWN:
            return None  # metrics shows when the last report came; the next beat tries again
