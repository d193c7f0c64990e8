"""Which limit is the one that holds the run back."""

from __future__ import annotations

from math import exp

_MEMORY_S = 30.0
_NOTICEABLE_S = 0.05 * _MEMORY_S


class BindingMeter:
    """Seconds that the head of the line waited for each bucket, forgotten with a time constant of 30 s."""

    def __init__(self) -> None:
        self._waited: dict[str, float] = {}
        self._current: str | None = None
        self._at: float | None = None

    def note(self, bucket: str | None, now: float) -> None:
        """From now on the head waits for ``bucket``; None: for nothing, or for something that is not a bucket."""
        if self._at is not None and now > self._at:
            keep = exp(-(now - self._at) / _MEMORY_S)
            self._waited = {name: waited * keep for name, waited in self._waited.items()}
            if self._current is not None:
                self._waited[self._current] = self._waited.get(self._current, 0.0) + _MEMORY_S * (1 - keep)
        self._at = now
        self._current = bucket

    def binding(self, now: float) -> str | None:
        """None when no bucket made the head wait for 5 % of the recent time."""
        self.note(self._current, now)
        name = max(self._waited, key=lambda each: self._waited[each], default=None)
        return name if name is not None and self._waited[name] >= _NOTICEABLE_S else None
