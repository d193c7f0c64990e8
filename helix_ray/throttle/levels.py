"""A level that sinks at a constant rate."""

from __future__ import annotations

EPSILON = 1e-6  # tokens or requests: what float arithmetic may lose over a sleep of exactly the computed length


class LeakyLevel:
    """``level`` falls by ``rate`` per second and stops at zero; time never runs backwards in it."""

    __slots__ = ("_at", "_level", "rate")

    def __init__(self) -> None:
        self._level = 0.0
        self.rate = 0.0  # a second; to be changed by `set_rate`
        self._at = float("-inf")

    def level(self, now: float) -> float:
        if now > self._at:
            if self._level > 0.0:
                self._level = max(0.0, self._level - self.rate * (now - self._at))
            self._at = now
        return self._level

    def add(self, amount: float, now: float) -> None:
        """``amount`` may be negative; the level stays at or above zero."""
        self._level = max(0.0, self.level(now) + amount)

    def set_level(self, level: float, now: float) -> None:
        self.level(now)
        self._level = max(0.0, level)

    def set_rate(self, rate: float, now: float) -> None:
        self.level(now)
        self.rate = rate

    def time_until(self, target: float, now: float) -> float | None:
        """Seconds until the level is at or below ``target``; None when that never happens by itself."""
        excess = self.level(now) - target
        if excess <= EPSILON:
            return 0.0
        if target < 0 or self.rate <= 0:
            return None
        return excess / self.rate
