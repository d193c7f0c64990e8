"""Rates over a sliding window of samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

CARD_SECONDS = 10.0
POINT_SECONDS = 3.0


class RateWindow:
    """Samples of ever-growing counts, kept a little longer than the longest window asked for."""

    def __init__(self, keep_s: float = CARD_SECONDS) -> None:
        self._keep_s = keep_s
        self._samples: deque[tuple[float, dict[str, float]]] = deque()

    def add(self, now: float, counts: Mapping[str, float]) -> None:
        self._samples.append((now, dict(counts)))
        # One sample older than the window stays: the rate over the full window needs its far end.
        while len(self._samples) > 2 and self._samples[1][0] <= now - self._keep_s:
            self._samples.popleft()

    def rate(self, name: str, now: float, over_s: float = CARD_SECONDS) -> float | None:
        """Per second, from the newest sample at least ``over_s`` old (or the oldest there is) to the newest; None before two samples.

        A window without any sample answers None: an observer that hears nothing does not know that the rate is zero.
        """
        if len(self._samples) < 2 or self._samples[-1][0] < now - over_s:
            return None
        newest_at, newest = self._samples[-1]
        oldest_at, oldest = self._samples[0]
        for at, counts in self._samples:
            if at > newest_at - over_s:
                break
            oldest_at, oldest = at, counts
        if newest_at <= oldest_at:
            return None
        return max(0.0, (newest.get(name, 0.0) - oldest.get(name, 0.0)) / (newest_at - oldest_at))
