"""Statistics of the queue over all restarts of its actor."""

from __future__ import annotations

from dataclasses import dataclass, replace

from helix_ray.queueing.messages import QueueStats

_MAXIMA = ("max_queue_depth", "max_redelivered", "max_leased", "max_held")


@dataclass(slots=True)
class QueueHistory:
    """The newest statistics, with the maxima and the blocked time of earlier incarnations carried over."""

    _latest: QueueStats | None = None
    _before: QueueStats | None = None  # over all incarnations before the latest

    def note(self, stats: QueueStats) -> None:
        if self._latest is not None and self._latest.incarnation != stats.incarnation:
            self._before = self.stats
        self._latest = stats

    @property
    def stats(self) -> QueueStats | None:
        """None before the first `note`."""
        now, before = self._latest, self._before
        if now is None or before is None:
            return now
        maxima = {name: max(getattr(before, name), getattr(now, name)) for name in _MAXIMA}
        return replace(now, blocked_seconds=before.blocked_seconds + now.blocked_seconds, **maxima)
