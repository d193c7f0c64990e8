"""What other clients of the same key take from a limit."""

from __future__ import annotations

from math import exp

_MEMORY_S = 10.0
_LONGEST_AGE_S, _LONGEST_UNSEEN_S = 5.0, 30.0  # where headers show it, and where only refusals do
_AHEAD_S = 1.0  # until the request that is about to go is there, and since use comes in bursts


class OtherClients:
    """The rate at which other clients use this limit: the excess of readings over our own account, averaged over 10 s.

    A reading shows the server's account at the admission of a request, a round trip ago. `margin` is what the others may have
    taken since then. The excess of a first reading is past use, not a rate. A server that keeps unused reservations looks like
    another client that takes them, and that is what has to be left to it.
    """

    def __init__(self) -> None:
        self.rate = 0.0  # a second
        self._seen_until: float | None = None  # their use until then is in our account
        self._late = 0.0  # shown by readings older than that

    def most(self, *, shown: bool) -> float:
        """The largest margin. ``shown``: by headers."""
        return self.rate * (_LONGEST_AGE_S if shown else _LONGEST_UNSEEN_S)

    def took(self, amount: float, granted_at: float, refill: float) -> None:
        """Note a reading of a request granted then, which showed ``amount`` more than our account could explain. ``refill``:
        of the limit, a second. No client takes more than that for long, so a larger excess is past use.
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

    def margin(self, now: float, *, shown: bool) -> float:
        if self._seen_until is None or self.rate <= 0.0:
            return 0.0
        return min(self.most(shown=shown), self.rate * (_AHEAD_S + max(0.0, now - self._seen_until)))
