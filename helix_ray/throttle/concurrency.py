"""How many requests the API bears at once."""

from __future__ import annotations

_FIRST = 8
_CUT = 0.7
_FIRST_ROUND_TRIP_S = 1.0


class Concurrency:
    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(min(_FIRST, most))
        self._round_trip_s = _FIRST_ROUND_TRIP_S
        self._cut_at = float("-inf")

    @property
    def most(self) -> int:
        return self._most

    @most.setter
    def most(self, most: int) -> None:
        self._most = max(1, most)

    @property
    def limit(self) -> int:
        """Requests in flight, 1..most."""
        return max(1, min(self._most, int(self._limit)))

    def answered(self, latency_s: float, completion_tokens: int, in_flight: int, now: float) -> None:
        """An answer came after ``latency_s`` from its send; ``in_flight``: requests in flight just before, this one included."""
        self._round_trip_s += 0.1 * (latency_s - self._round_trip_s)
        if in_flight >= self.limit / 2:
            self._limit = min(float(self._most), self._limit + 1.0)

    def overloaded(self, now: float) -> None:
        """A 498 or a 503."""
        if now - self._cut_at >= self._round_trip_s:
            self._limit = max(1.0, self._limit * _CUT)
            self._cut_at = now
