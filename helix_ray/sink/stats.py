"""How long commits take."""

from __future__ import annotations

from collections import deque


class CommitTimes:
    """Durations of the last commits, in milliseconds."""

    def __init__(self, kept: int = 200) -> None:
        self._times: deque[float] = deque(maxlen=kept)

    def add(self, milliseconds: float) -> None:
        self._times.append(milliseconds)

    def percentile(self, share: float) -> float | None:
        """Nearest rank; None before the first commit."""
        ordered = sorted(self._times)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
