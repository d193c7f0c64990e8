"""What an actor's process uses: memory, its share of a core, how late its event loop is, how busy the machine under it is."""

from __future__ import annotations

import asyncio
import os
import time

import psutil

from helix_ray.clock import Clock
from helix_ray.metrics.reports import ProcessReport

TICK_S = 0.1
MEMORY_INTERVAL_S = 10.0  # reading the smaps of a process costs some milliseconds


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
        )

    async def _memory(self) -> float:
        """Proportional set size in MB: pages shared with n processes count one n-th."""
        now = self._clock.monotonic()
        if self._measured_at is None or now - self._measured_at >= MEMORY_INTERVAL_S:
            self._measured_at = now
            self._pss_mb = (await asyncio.to_thread(self._process.memory_full_info)).pss / 1e6
        return self._pss_mb
