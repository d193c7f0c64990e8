"""How many requests the API bears at once, found without being told and without a 429.

Beyond its capacity a server answers no more a second, only later: by Little's law ``in flight = throughput × latency``, so
when latency is ``s`` times the unloaded one, ``in flight / s`` requests would have brought the same. `Concurrency` keeps
the limit at 1.2 times that (never idle, and answers 1.2 times as late), which is a fixed point at 1.2 times the capacity, and
grows without end where there is none. Everything depends on what unloaded means, and that is measured:

* **Level.** Latencies are compared at one length (`LengthModel`) and as logarithms, in windows that begin one round trip after
  the limit changed. Nothing is decided below a certainty of three standard errors.
* **Base.** The level of an API that is not loaded: learned while the limit grows from 4 by doubling.
* **Dips.** A limit held by latency is lowered to 0.7 of itself for one window from time to time. Capacity lies between the
  two levels, or it does not: *elasticity* = change of level / change of log(in flight) is 1 in a server that is full, 0 in one
  that is not. A lower level than the base is a better base. A higher one that does not move with the load is a new base too:
  the server became slower for other reasons, and holding back does not help. Every cut is such an experiment.
* **Refusals** (498, 503) cut to 0.7, once per round trip; after that growth goes quickly to nine tenths of where it was
  refused and then by 1, 2, 4 … requests per window.

Sources: AIMD (Chiu and Jain 1989); the gradient of latencies as in TCP Vegas and Netflix's Gradient2, whose bases drift for
want of dips; the dips are those of BBR's ProbeRTT.
"""

from __future__ import annotations

from math import exp, hypot, inf, log, sqrt
from typing import NamedTuple

from helix_ray.throttle.answer_times import LengthModel, Window

_FIRST = 4
_HEADROOM = 1.2  # of the limit over what is needed, and so of latency over the unloaded one
_GROW_BELOW = log(1.13)
_CUT_ABOVE = log(1.3)
_CUT = 0.7
_DIP = 0.7
_DEEP_DIP = 0.5  # while no level is known that did not move with the load
_DIP_EVERY_S = 45.0
_PRECISION = 0.06  # of a window's mean, as a standard error
_CERTAIN = 3.0  # standard errors
_FEWEST, _MOST_ANSWERS = 12, 150  # in a window
_LONGEST_WINDOW_S = 20.0
_DRIFT_PER_S = 0.01 / 600  # by which the variance of the base grows: 0.1 in ten minutes
_AGAIN_AFTER_S = 20.0  # a step that proved too far, of a limit too small for shares


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
        self._before: _Level | None = None  # at the limit that was just cut
        self._restore: float | None = None  # and that limit
        self._dipping = False
        self._next_dip_at = -inf
        self._confirmed = False  # that the base is of an API that is not loaded
        self._suspected = False
        self._slow_from: tuple[float, float] = (inf, -inf)  # requests in flight that were too many, and until when
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
        self._doubling = self._dipping = self._suspected = False
        self._before = self._restore = None
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
                self._grow(level, now)
            return
        over, error = level.mean - self._base, hypot(level.error, self._base_error)
        if self._doubling:
            if window.count < max(4.0, 0.5 * level.in_flight):
                return
            if over < _GROW_BELOW or over < 1.5 * error:
                self._absorb(self._close(now), now)
                self._grow(level, now)
                self._doubling = self._limit < self._most
                return
            self._doubling = False  # and look closely, at this limit
        surprising = window.count >= 8 and over - _CERTAIN * error > _CUT_ABOVE
        if surprising and not self._suspected and not self._dipping and self._before is None:
            self._suspected = True  # part of the window may be older than the change
            self._close(now)
        elif (surprising and window.count >= 0.5 * level.in_flight) or self._is_full(now):
            self._suspected = False
            self._decide(self._close(now), now)

    def _is_full(self, now: float) -> bool:
        window = self._window
        needed = min(_MOST_ANSWERS, max(_FEWEST, (self._deviation / _PRECISION) ** 2))
        return window.count >= needed or (window.count >= _FEWEST and now - window.begins_at > _LONGEST_WINDOW_S)

    def _close(self, now: float) -> _Level:
        """What the window showed, on the scale that it has taught; the next one begins."""
        window = self._window
        moved = self._times.learn(window.answers)
        if self._base is not None:
            self._base += moved
        if self._before is not None:
            self._before = self._before._replace(mean=self._before.mean + moved)
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

    def _decide(self, level: _Level, now: float) -> None:
        assert self._base is not None
        if self._before is not None and self._learn_from_cut(self._before, level, now):
            return
        over = level.mean - self._base
        if over > _CUT_ABOVE:
            self._slow_from = (level.in_flight, now + _AGAIN_AFTER_S)
            self._cut(level, _HEADROOM * level.in_flight / exp(over), now)
        elif over < _GROW_BELOW:
            if self._limit < self._most:
                self._grow(level, now)
            else:
                self._absorb(level, now)
        elif now >= self._next_dip_at and self.limit > 1:
            self._dipping = True
            self._cut(level, min((_DIP if self._confirmed else _DEEP_DIP) * self._limit, self.limit - 1.0), now)

    def _cut(self, level: _Level, limit: float, now: float) -> None:
        self._before, self._restore = level, self._limit
        self._set(limit, now)

    def _learn_from_cut(self, before: _Level, level: _Level, now: float) -> bool:
        """What the lower load did to latency; whether the limit was set again by that."""
        assert self._base is not None
        assert self._restore is not None
        restore, dipped = self._restore, self._dipping
        self._before = self._restore = None
        self._dipping = False
        lowered = log(max(1.0, before.in_flight) / max(1.0, level.in_flight))
        if lowered < 0.1:  # nothing was learned: the callers had no more to send
            self._set(restore if dipped else self._limit, now)
            return dipped
        elastic = (before.mean - level.mean) / lowered
        over, error = level.mean - self._base, hypot(level.error, self._base_error)
        if dipped:
            self._next_dip_at = now + _DIP_EVERY_S
            self._confirmed = elastic < 0.7
        if over < -2 * error:
            self._base, self._base_error, self._base_at = level.mean, level.error, now
            if elastic > 0.6:
                self._confirmed = False
                self._next_dip_at = now  # it may be lower still
        elif over > 2 * error and elastic < 0.5:
            self._confirmed = True
            self._base, self._base_error, self._base_at = level.mean, level.error, now
            self._set(restore, now)
            return True
        elif dipped and abs(over) <= 2 * error:
            self._absorb(level, now)
        if not dipped:
            return False
        slow = before.mean - self._base
        self._set(min(restore, _HEADROOM * before.in_flight / exp(slow)) if slow > _CUT_ABOVE else restore, now)
        return True

    def _absorb(self, level: _Level, now: float) -> None:
        """The base moves towards a level that is taken as unloaded: a Kalman filter of a quantity that drifts."""
        if self._base is None:
            self._base, self._base_error, self._base_at = level.mean, level.error, now
            return
        variance = self._base_error**2 + _DRIFT_PER_S * max(0.0, now - self._base_at)
        gain = variance / (variance + level.error**2)
        self._base += gain * (level.mean - self._base)
        self._base_error, self._base_at = sqrt((1 - gain) * variance), now

    def _grow(self, level: _Level, now: float) -> None:
        assert self._base is not None
        if self._doubling:
            self._set(2.0 * self._limit, now)
            return
        target = max(self._limit, _HEADROOM * level.in_flight / exp(level.mean - self._base))
        too_many, until = self._slow_from
        if self.limit + 1 < 0.97 * too_many or now >= until:
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
