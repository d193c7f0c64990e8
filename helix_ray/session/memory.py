"""How much memory the run takes: proportional set size, which counts a page shared by n processes as 1/n of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from helix_ray.storage.embedded import postmaster

SAMPLE_INTERVAL_S = 5.0


@dataclass(slots=True)
class PeakMemory:
    """The peak over all processes of this run: the driver, Ray, the actors, the emulator, and the embedded PostgreSQL.

    The database in ``data`` is no child of ours. On a cluster Ray is not ours, so there it is the driver and the actors of all nodes.
    """

    data: Path
    peak_mb: float = 0.0
    _next_at: float = 0.0
    _me: psutil.Process = field(default_factory=psutil.Process)

    def sample(self, now: float, actors_mb: float = 0.0) -> None:
        """Measures when it is time to; costs some milliseconds a process. ``actors_mb``: of those that are no children of ours."""
        if now < self._next_at:
            return
        self._next_at = now + SAMPLE_INTERVAL_S
        total = 0
        for root in (self._me, self._postmaster()):
            for process in [] if root is None else [root, *root.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue  # it ended while being measured
        self.peak_mb = max(self.peak_mb, total / 1e6 + actors_mb)

    def _postmaster(self) -> psutil.Process | None:
        """None when the run uses another database."""
        pid = postmaster.find(self.data)
        with suppress(psutil.Error):
            return None if pid is None else psutil.Process(pid)
        return None
