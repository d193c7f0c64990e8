"""How an actor's process feels: its share of a core, how late its event loop is, how busy the machine under it is."""

from __future__ import annotations

import os
import time

import psutil

from helix_ray.clock import Clock

TICK_S = 0.1


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


class Vitals:
    """Shares of CPU between two calls of `take`, which must come from the thread that runs the event loop."""

    def __init__(self, clock: Clock, process: psutil.Process) -> None:
        self._clock = clock
        self._process = process
        self._cores = len(os.sched_getaffinity(0))
        self._before: tuple[float, float, float, float, float] | None = None

    def take(self) -> dict[str, float]:
        """``cpu_s`` of this process so far; from the second call on also ``cpu_share`` (of one core, all threads),
        ``loop_busy`` (of one core, this thread), ``machine_busy`` (0..1, of all cores) and ``machine_cores``.
        """
        times, machine = self._process.cpu_times(), psutil.cpu_times()
        cpu_s, all_s = times.user + times.system, sum(machine[:8])  # guests are counted in user time already
        now = (self._clock.monotonic(), cpu_s, time.thread_time(), all_s, machine.idle + getattr(machine, "iowait", 0.0))
        before, self._before = self._before, now
        taken = {"cpu_s": cpu_s, "machine_cores": float(self._cores)}
        if before is None or now[0] <= before[0]:
            return taken
        wall_s, own_s, loop_s, machine_s, idle_s = (new - old for new, old in zip(now, before, strict=True))
        taken |= {"cpu_share": own_s / wall_s, "loop_busy": min(1.0, loop_s / wall_s)}
        if machine_s > 0:
            taken["machine_busy"] = min(1.0, max(0.0, 1 - idle_s / machine_s))
        return taken
