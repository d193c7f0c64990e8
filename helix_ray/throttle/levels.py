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


class WindowLevel:
    """What was taken within the last ``window_s``: nothing flows back until its window has passed.

    Amounts lie in bins of 1/240 window. With a boundary, all that was taken before it is back at that moment, and again one
    window later: a window of the clock.
    """

    __slots__ = ("_bins", "_boundary", "_total", "_width", "window_s")

    def __init__(self, window_s: float) -> None:
        self.set_window(window_s)
        self._boundary: float | None = None  # the end of one of the server's windows

    def set_window(self, window_s: float) -> None:
        self.window_s, self._width = window_s, window_s / 240
        self._bins: dict[int, float] = {}
        self._total = 0.0

    def set_boundary(self, at: float | None) -> None:
        self._boundary = at

    @property
    def boundary(self) -> float | None:
        return self._boundary

    @property
    def since(self) -> float | None:
        """When the oldest of it was taken."""
        return next(iter(self._bins)) * self._width if self._bins else None

    def level(self, now: float) -> float:
        while self._bins and self._back_at(first := next(iter(self._bins))) <= now + EPSILON:
            self._total -= self._bins.pop(first)
        if not self._bins:
            self._total = 0.0
        return max(0.0, self._total)

    def add(self, amount: float, at: float, now: float) -> None:
        """``amount`` may be negative: the correction of what was taken ``at`` that time, nothing once that is back."""
        key = int(at // self._width)
        if self._back_at(key) <= now:
            return
        if key not in self._bins and self._bins:
            key = max(key, next(reversed(self._bins)))
        self._bins[key] = self._bins.get(key, 0.0) + amount
        self._total += amount

    def set_level(self, level: float, now: float) -> None:
        """What is too much was the oldest; what is missing is as young as it can be."""
        over = self.level(now) - level
        if over < 0.0:
            self.add(-over, now, now)
        for key in list(self._bins) if over > 0.0 else ():
            taken = min(over, self._bins[key])
            self._bins[key] -= taken
            self._total -= taken
            over -= taken

    def time_until(self, target: float, now: float) -> float | None:
        excess = self.level(now) - target
        if excess <= EPSILON:
            return 0.0
        for key, amount in self._bins.items():
            excess -= amount
            if excess <= EPSILON:
                return max(self._back_at(key) - now, 1e-3)
        return None

    def _back_at(self, key: int) -> float:
        taken_at, boundary = (key + 1) * self._width, self._boundary
        if boundary is None:
            return taken_at + self.window_s
        return boundary - (boundary - key * self._width) // self.window_s * self.window_s
