"""What other clients take from a limit that is not ours alone."""

from __future__ import annotations

from math import exp

_MEMORY_S = 10.0
_LONGEST_AGE_S = 5.0
_AHEAD_S = 1.0  # until the request that is about to go is there, and since nobody takes in drops


class Neighbours:
    """Their rate, from the excess that readings show above our own account, forgotten with a time constant of 10 s.

    A reading tells what the server knew when it admitted a request, and is a round trip old; the `margin` is what they may
    have taken since then. What a first reading shows is the past, not a rate.
    """

    def __init__(self) -> None:
        self.rate = 0.0  # a second
        self._seen_until: float | None = None  # up to when their use is in our account
        self._late = 0.0  # found by readings older than that

    @property
    def most(self) -> float:
        """What the margin can grow to."""
        return self.rate * _LONGEST_AGE_S

    def took(self, amount: float, granted_at: float, refill: float) -> None:
        """The reading of a request granted then showed ``amount`` more than our account could explain. ``refill``: of the
        limit, a second; nobody takes more than that for long, so a larger excess is a past that we knew nothing of.
        """
        if self._seen_until is None:
            self._seen_until = granted_at
            return
        took = self._late + amount
        since_s = granted_at - self._seen_until
        if since_s <= 0:
            self._late = took
            return
        keep = exp(-since_s / _MEMORY_S)
        self.rate = min(refill, self.rate * keep + took / since_s * (1 - keep))
        self._late = 0.0
        self._seen_until = granted_at

    def margin(self, now: float) -> float:
        if self._seen_until is None or self.rate <= 0.0:
            return 0.0
        return self.rate * min(_LONGEST_AGE_S, _AHEAD_S + max(0.0, now - self._seen_until))

    def forget(self) -> None:
        self.rate = 0.0
        self._seen_until = None
        self._late = 0.0
