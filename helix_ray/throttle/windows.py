"""Servers that count by windows: what was taken comes back when its window ends, and not before."""

from __future__ import annotations

from math import inf

from helix_ray.throttle.levels import EPSILON

TICK_S = 1.5  # by which headers and waits are rounded, with some time for the way
_LATE_S = 3.0  # headers
_VOTES = 5


class Windows:
    """What was taken within the last ``window_s``, in bins of 1/240 window, and whether it matters.

    A window of the clock has a boundary: all that was taken before it is back at that moment, and again one window later. In a
    sliding one every amount comes back by itself. How the server counts follows from what a bucket could not do: headers whose
    ``reset`` is longer than a bucket takes to be full, a 429 that asks for a longer wait, refusals after it would have had room.
    """

    def __init__(self, window_s: float) -> None:
        self.set_window(window_s)
        self.counted = False  # by the server, so that this is its account
        self._boundary: float | None = None  # the end of one of the server's windows
        self._slides = False  # there is none
        self._votes = 0  # of headers
        self._reset_at = -inf
        self._gone, self._gone_at = 0.0, -inf

    def set_window(self, window_s: float) -> None:
        self.window_s, self._width = window_s, window_s / 240
        self._bins: dict[int, float] = {}
        self._total = 0.0

    def shown(self, used_share: float, reset_s: float | None, at: float) -> None:
        """Headers show that share of the limit as used, and when it ends; ``at``: when the request was there."""
        if reset_s is None or reset_s > 1.05 * self.window_s:
            return
        bucket_s = used_share * self.window_s
        vote = 1 if reset_s > bucket_s + self._slack_s else -1 if bucket_s > 0.2 * self.window_s else 0
        self._votes = max(-_VOTES, min(_VOTES, self._votes + vote))
        self.counted |= self._votes == _VOTES
        if self.counted and not self._slides:  # windows of the clock end one window apart
            moved, self._reset_at = at + reset_s - self._reset_at, at + reset_s
            if abs(moved) > TICK_S and moved != inf:
                self._slides = abs(moved - round(moved / self.window_s) * self.window_s) > TICK_S
                self._boundary = None if self._slides else self._reset_at

    def refused(self, over_share: float, asked_s: float | None, refused_for_s: float) -> None:
        """A request was refused, which a bucket would have had room for after ``over_share`` of the window. ``refused_for_s``: how
        long nothing was served.
        """
        bucket_s = over_share * self.window_s
        if asked_s is not None and asked_s > 0:
            self.counted |= bucket_s + self._slack_s < asked_s <= 1.05 * self.window_s
        elif refused_for_s < self.window_s:
            self.counted |= refused_for_s > 2 * bucket_s + TICK_S

    def lately(self, now: float) -> float:
        """What came back so lately that headers may still show it."""
        return self._gone if now - self._gone_at < _LATE_S else 0.0

    def level(self, now: float) -> float:
        while self._bins and self._back_at(first := next(iter(self._bins))) <= now + EPSILON:
            at, amount = self._back_at(first), self._bins.pop(first)
            self._gone, self._gone_at = (self._gone if at - self._gone_at < _LATE_S else 0.0) + amount, at
            self._total -= amount
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

    @property
    def _slack_s(self) -> float:
        return max(2.0, 0.1 * self.window_s)

    def _back_at(self, key: int) -> float:
        taken_at, boundary = (key + 1) * self._width, self._boundary
        if boundary is None:
            return taken_at + self.window_s
        return boundary - (boundary - taken_at) // self.window_s * self.window_s
