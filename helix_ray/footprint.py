"""How much memory the run takes: proportional set size, which counts a page shared by n processes as 1/n of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import psutil

SAMPLE_INTERVAL_S = 5.0


@dataclass(slots=True)
class Footprint:
    """The peak over all processes of this run: the driver, Ray, the actors, the emulator."""

    peak_mb: float = 0.0
    _next_at: float = 0.0
    _me: psutil.Process = field(default_factory=psutil.Process)

    def sample(self, now: float) -> None:
        """Measures when it is time to; costs some milliseconds a process."""
        if now < self._next_at:
            return
        self._next_at = now + SAMPLE_INTERVAL_S
        total = 0
        for process in [self._me, *self._me.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue  # it ended while being measured
        self.peak_mb = max(self.peak_mb, total / 1e6)
