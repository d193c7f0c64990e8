"""How many requests the API bears at once, found without being told and without a 429.

Beyond its capacity a server answers no more a second, only later: by Little's law ``in flight = throughput × latency``, so
when latency is ``s`` times the unloaded one, ``in flight / s`` requests would have brought the same. `Concurrency` steers to
1.2 times that (never idle, and answers 1.2 times as late), which is a fixed point at 1.2 times the capacity, and grows without
end where there is none. Everything depends on what unloaded means, and that is measured:

* **Level.** Latencies are compared at one length (`LengthModel`) and as logarithms, in windows that begin one round trip after
  the limit changed. No limit is lowered below a certainty of two standard errors.
* **Base.** The level of an API that is not loaded: learned while the limit grows from 4 by doubling, and then from dips alone.
  A base that followed the levels of a load would follow it without end.
* **Dips.** Before a limit is lowered, and from time to time while one holds the run back, it is set to 0.6 of itself for one
  window. *Elasticity* = change of level / change of log(in flight) is 1 in a server that is full at both, so the dip goes on,
  deeper; where it is less, the lower level is the base. If that is higher than before and the load made no difference, the
  server became slower for other reasons, and the limit returns to where it was: holding back does not help.
* **Refusals** (498, 503) cut to 0.7, once per round trip; after that growth goes quickly to nine tenths of where it was
  refused and then by 1, 2, 4 … requests per window.

Sources: AIMD (Chiu and Jain 1989); the gradient of latencies as in TCP Vegas and Netflix's Gradient2, whose bases drift for
want of dips; the dips are those of BBR's ProbeRTT.
"""

from __future__ import annotations

from math import exp, hypot, inf, log, sqrt
from typing import NamedTuple

from helix_ray.throttle.tier.answer_times import LengthModel, Window

_FIRST = 4
_HEADROOM = log(1.2)  # of the limit over what is needed, and so of latency over the unloaded one
_LOADED = log(1.12)
_FLAT = 0.8  # elasticity below which the lower load is none
_CUT = 0.7
_DIP = 0.6
_DIP_EVERY_S, _DIP_SOON_S = 45.0, 8.0
_PRECISION, _DIP_PRECISION = 0.06, 0.08  # of a window's mean, as a standard error
_FEWEST, _MOST_ANSWERS = 12, 150  # in a window
_LONGEST_WINDOW_S, _LONGEST_DIP_S = 20.0, 5.0
_DRIFT_PER_S = 0.01 / 120  # by which the variance of the base grows


class _Level(NamedTuple):
    in_flight: float
    mean: float
    error: float


class Concurrency:
    """``most``: requests in flight that the callers can make. Times are monotonic seconds."""

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._limit = float(min(_FIRST, self._most))
        self._doubling = True
        self._times = LengthModel()
        self._window = Window(-inf)
        self._deviation = 0.5  # of one answer's level
        self._base: float | None = None
        self._base_error = 0.0
        self._base_at = 0.0
        self._round_trip_s: float | None = None
        self._above: list[_Level] = []  # in a dip: the levels at the limit before it and at each one since
        self._restore = 0.0  # and that limit
        self._next_dip_at = -inf
        self._suspected = False
        self._recent_in_flight = 0.0
        self._cut_at = -inf
        self._refused_at: float | None = None  # the limit
        self._step = 1.0

    @property
    def most(self) -> int:
        return self._most

    @most.setter
    def most(self, most: int) -> None:
        self._most = max(1, most)
        self._limit = min(self._limit, float(self._most))

    @property
    def limit(self) -> int:
        """Requests in flight, 1 to ``most``."""
        return max(1, min(self._most, int(self._limit + 1e-9)))

    @property
    def starting(self) -> bool:
        """The limit still doubles from its start: it says nothing about the API yet."""
        return self._doubling

    def answered(self, latency_s: float, completion_tokens: int, in_flight: int, now: float) -> None:
        """An answer came ``latency_s`` after its request was sent; ``in_flight``: requests in flight then, this one included."""
        self._round_trip_s = latency_s if self._round_trip_s is None else self._round_trip_s + 0.1 * (latency_s - self._round_trip_s)
        self._recent_in_flight = max(float(in_flight), 0.98 * self._recent_in_flight)
        window = self._window
        if now < window.begins_at:
            return
        if window.begins_at == -inf:  # the first to come are the shortest
            window.begins_at = now + latency_s
            return
        window.add(self._times.level(latency_s, completion_tokens), latency_s, completion_tokens, in_flight)
        self._judge(now)

    def overloaded(self, now: float) -> None:
        """The API had no room for a request (498, 503)."""
        if now - self._cut_at < (self._round_trip_s or 1.0):
            return
        self._cut_at = now
        reached = min(self._limit, self._recent_in_flight or self._limit)
        self._refused_at, self._step = max(1.0, reached), 1.0
        self._doubling = self._suspected = False
        self._above = []
        self._set(_CUT * reached, now)

    # -- windows --------------------------------------------------------------------------------------------------------

    def _judge(self, now: float) -> None:
        window = self._window
        if window.in_flight < 0.5 * self.limit:  # the limit is not what bounds the load, which is light for it
            if window.count >= 2 * _FEWEST:
                self._absorb(self._close(now), now)
            return
        level = _Level(window.in_flight, window.mean, self._deviation / sqrt(window.count))
        if self._base is None:
            if window.count >= 4:
                self._absorb(self._close(now), now)
                self._set(2.0 * self._limit, now)
            return
        over, error = level.mean - self._base, hypot(level.error, self._base_error)
        if self._doubling:
            if window.count < max(4.0, 0.5 * level.in_flight):
                return
            if over < _LOADED or over < 1.5 * error:
                self._absorb(self._close(now), now)
                self._doubling = 2.0 * self._limit < self._most
                self._set(2.0 * self._limit, now)
                return
            self._doubling = False  # and look closely, at this limit
        surprising = window.count >= 8 and over - 3.0 * error > 1.5 * _HEADROOM
        if surprising and not self._suspected and not self._above:
            self._suspected = True  # part of the window may be older than the change
            self._close(now)
        elif (surprising and not self._above and window.count >= 0.5 * level.in_flight) or self._is_full(now):
            self._suspected = False
            full = self._close(now)
            if self._above:
                self._learn(full, now)
            else:
                self._steer(full, now)

    def _is_full(self, now: float) -> bool:
        window = self._window
        precision, longest_s = (_DIP_PRECISION, _LONGEST_DIP_S) if self._above else (_PRECISION, _LONGEST_WINDOW_S)
        needed = min(_MOST_ANSWERS, max(_FEWEST, (self._deviation / precision) ** 2))
        return window.count >= needed or (window.count >= _FEWEST and now - window.begins_at > longest_s)

    def _close(self, now: float) -> _Level:
        """What the window showed, on the scale that it has taught; the next one begins."""
        window = self._window
        moved = self._times.learn(window.answers)
        if self._base is not None:
            self._base += moved
        self._above = [level._replace(mean=level.mean + moved) for level in self._above]
        weight = window.count / (window.count + 100)
        self._deviation = max(0.05, self._deviation + weight * (window.deviation - self._deviation))
        self._window = Window(now)
        return _Level(window.in_flight, window.mean + moved, self._deviation / sqrt(window.count))

    def _set(self, limit: float, now: float) -> None:
        limit = max(1.0, min(float(self._most), limit))
        changed = max(1, int(limit + 1e-9)) != self.limit
        self._limit = limit
        if changed:
            self._window = Window(now + 1.1 * (self._round_trip_s or 0.0))

    # -- decisions ------------------------------------------------------------------------------------------------------

    def _steer(self, level: _Level, now: float) -> None:
        assert self._base is not None
        over, error = level.mean - self._base, hypot(level.error, self._base_error)
        target = level.in_flight * exp(_HEADROOM - over)
        if target >= self._limit or over < _LOADED:
            self._grow(max(target, self._limit), over, now)
        if over <= _LOADED:
            return
        too_slow = over > 1.5 * _HEADROOM + 2.0 * error
        if self.limit > 1 and (too_slow or (now >= self._next_dip_at and self.limit < self._most)):
            self._above, self._restore = [level], self._limit
            self._set(min(target, _DIP * level.in_flight, self.limit - 1.0), now)
        elif target < self._limit and self.limit < self._most:
            self._set(target, now)

    def _learn(self, level: _Level, now: float) -> None:
        """What the lower load did to latency."""
        assert self._base is not None
        first, last = self._above[0], self._above[-1]
        lowered = log(max(1.0, last.in_flight) / max(1.0, level.in_flight))
        elastic = (last.mean - level.mean) / lowered if lowered > 0.1 else 0.0
        over, error = level.mean - self._base, hypot(level.error, self._base_error)
        if elastic > _FLAT and over > -2.0 * error - 0.5 and self.limit > 1 and (over > 2.0 * error or over < -2.0 * error):
            self._above.append(level)
            self._set(min(_DIP * level.in_flight, self.limit - 1.0), now)
            return
        self._above = []
        if abs(over) <= 3.0 * error:
            self._absorb(level, now)
        else:
            self._base, self._base_error, self._base_at = level.mean, level.error, now
        moved = abs(over) > 2.0 * error
        self._next_dip_at = now + (_DIP_SOON_S if moved else _DIP_EVERY_S)
        slow = max(0.0, first.mean - self._base)
        target = first.in_flight * exp(_HEADROOM - slow)
        self._set(self._restore if slow < _LOADED else min(target, 1.2 * self._restore), now)

    def _absorb(self, level: _Level, now: float) -> None:
        """The base moves towards a level that is taken as unloaded: a Kalman filter of a quantity that drifts."""
        if self._base is None:
            self._base, self._base_error, self._base_at = level.mean, level.error, now
            return
        variance = self._base_error**2 + _DRIFT_PER_S * max(0.0, now - self._base_at)
        gain = variance / (variance + level.error**2)
        self._base += gain * (level.mean - self._base)
        self._base_error, self._base_at = sqrt((1 - gain) * variance), now

    def _grow(self, target: float, over: float, now: float) -> None:
        if over < _LOADED:
            target = max(target, self.limit + 1.0)
        if self._refused_at is not None:
            near = 0.9 * self._refused_at
            if self._limit >= near:
                target, self._step = self._limit + self._step, 2.0 * self._step
            else:
                target = min(target, max(near, self.limit + 1.0))
            if target > 1.3 * self._refused_at + 4:
                self._refused_at = None
        self._set(target, now)
