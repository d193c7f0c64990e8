"""How many requests may be in flight: the configured number, and fewer while the API says that it has too much to do."""

from __future__ import annotations

_CUT = 0.75
_OVERLOADED_SHARE, _LEAST_OVERLOADED = 0.1, 2
_FEWEST_ANSWERS, _ROUNDS = 20, 3  # in a window: so many times the number in flight
_STEPS = 32  # of additive growth from nothing to the configured number


class RequestsInFlight:
    """Additive increase, multiplicative decrease (Chiu and Jain 1989), by shares of refusals and not by single ones.

    A quarter is cut when 10 % of a window's answers, and 2 of them at least, are overload (503, 498) or time-outs: a server that
    drops one request in fifty has no more room with fewer in flight. Each window without that raises the number by a step. After an
    outage, which says nothing about room, the last number that a whole window has proven holds again.
    """

    def __init__(self, most: int) -> None:
        """``most``: requests in flight that all callers together can make."""
        self.most = max(1, most)
        self._limit = float(self.most)
        self._answers = self._overloaded = self._reached = 0
        self._proven = 0.0
        self._cut_at = float("-inf")

    @property
    def limit(self) -> int:
        """Requests in flight, 1 to ``most``."""
        return max(1, min(self.most, int(self._limit + 1e-9)))

    @property
    def held_down(self) -> bool:
        return self.limit < self.most

    def raise_most(self, most: int) -> None:
        """Callers can make more requests than before. Fewer need no action."""
        if most > self.most:
            self._limit += most - self.most
            self.most = most

    def outage_over(self) -> None:
        self._limit, self._proven = max(self._limit, self._proven), 0.0

    def ended(self, overloaded: bool, in_flight: int, granted_at: float, now: float) -> None:
        """A request got its answer; ``in_flight``: requests in flight then, this one included."""
        if granted_at < self._cut_at:  # it was in flight with those that were too many
            return
        self._answers += 1
        self._overloaded += overloaded
        self._reached = max(self._reached, in_flight)
        window = max(_FEWEST_ANSWERS, _ROUNDS * self.limit)
        if self._overloaded >= max(_LEAST_OVERLOADED, _OVERLOADED_SHARE * window):
            self._limit = max(1.0, _CUT * min(self._limit, float(self._reached)))
            self._cut_at = now
        elif self._answers < window:
            return
        else:
            self._proven = min(self._limit, float(self._reached))
            self._limit = min(float(self.most), self._limit + max(1.0, self.most / _STEPS))
        self._answers = self._overloaded = self._reached = 0
