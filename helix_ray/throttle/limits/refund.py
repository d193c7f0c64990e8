"""Does the provider give back what a request reserved and did not use? Nobody documents it; the headers tell.

A request is admitted at ``prompt + max_completion_tokens``. Some servers settle that to the real usage when the request
ends, others let the whole reservation decay. `RefundDetector` tests the second law, "nothing is returned", against the
headers and drops it when it is refuted.

Under that law the server's account at the moment it admitted request *i* is **at least**

    E(g) - recent - doubt - rate × transit + own

where *g* is when we granted *i*; *E* charges every request at its grant, the earliest moment the server can have seen it,
and sinks at the server's rate (charging later, or not at all, only moves the account up or takes one request's amount
away); *recent* is what was granted within one transit before *g* and so may not have arrived before *i*; *doubt* is the
part of requests still in flight that our token estimate may have invented (lowest real/estimated share seen); *transit* is
half a second plus the slowest way from grant to socket seen lately; *own* is the server's charge for *i*. A reading below
that bound, less a tolerance, refutes the law; other clients on the same key only push readings up. Three refutations in a
row decide, since one request may be stuck in a handshake for longer than a transit.

A reading is itself a bound for what follows it: *E* is raised to it, less what may have sunk since *g* (a bucket that was not
full at the start would hide the difference otherwise).

The verdict is reversed when three readings in a row lie above what the account *with* refunds can explain, and are at
least the bound above.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from helix_ray.throttle.limits.leaky_level import LeakyLevel as Drain

_VOTES = 3
_TRANSIT_S = 0.5
_TOLERANCE = 0.005  # of the limit
_LAG_MEMORY = 0.99  # per settlement


class RefundMark(NamedTuple):
    """What the bound needs to remember of the moment a request was granted."""

    granted_at: float
    earliest: float  # E, before this request
    recent: float
    others: float  # reserved by other requests in flight
    voided: float


class RefundDetector:
    def __init__(self) -> None:
        self.verdict: bool | None = None  # True: unused reservations are returned
        self._earliest = Drain()
        self._recent: deque[tuple[float, float]] = deque()
        self._recent_total = 0.0  # amounts are whole numbers, so this stays exact
        self._voided = 0.0  # taken out of E again: never sent, rejected, or estimated too high
        self._lowest_share = 0.0
        self._lag_s = 0.0
        self._for = 0
        self._against = 0

    def start(self, rate: float, now: float) -> None:
        """The server's limit became known or changed: what E charged under another rate proves nothing."""
        self._earliest = Drain()
        self._earliest.set_rate(rate, now)
        self._recent.clear()
        self._recent_total = 0.0

    def granted(self, amount: float, others: float, now: float) -> RefundMark:
        while self._recent and self._recent[0][0] < now - self._transit_s:
            self._recent_total -= self._recent.popleft()[1]
        mark = RefundMark(now, self._earliest.level(now), self._recent_total, others, self._voided)
        self._recent.append((now, amount))
        self._recent_total += amount
        if self._earliest.rate > 0:
            self._earliest.add(amount, now)
        return mark

    def void(self, amount: float, now: float) -> None:
        """``amount`` of what was granted never reached the server's account."""
        self._earliest.add(-amount, now)
        self._voided += amount

    def settled(self, estimated: float, real: float, lag_s: float, now: float) -> None:
        """``real``: what the server reserved for a request that we had estimated; ``lag_s``: from grant to socket."""
        self._lag_s = max(lag_s, self._lag_s * _LAG_MEMORY)
        if estimated > 0:
            share = real / estimated
            self._lowest_share = min(1.0, share if self._lowest_share == 0.0 else min(share, self._lowest_share))
        if real < estimated:
            self.void(estimated - real, now)

    def judge(self, mark: RefundMark, *, used: float, own: float, most_with_refunds: float, limit: float, now: float) -> None:
        """``used``: the server's account as the header of this request shows it; ``most_with_refunds``: the most that our
        account with refunds can explain.
        """
        transit = min(self._transit_s, max(0.0, now - mark.granted_at))
        doubt = (1.0 - self._lowest_share) * mark.others
        least = mark.earliest - mark.recent - doubt - self._earliest.rate * transit - (self._voided - mark.voided) + own
        self._earliest.set_level(max(self._earliest.level(now), used - self._earliest.rate * (now - mark.granted_at)), now)
        tolerance = _TOLERANCE * limit + 1.0
        refuted = used < least - tolerance
        unexplained = used > most_with_refunds + tolerance and not refuted
        self._for = self._for + 1 if refuted else 0
        self._against = self._against + 1 if unexplained else 0
        if self._for >= _VOTES:
            self.verdict = True
        elif self._against >= _VOTES:
            self.verdict = False

    @property
    def _transit_s(self) -> float:
        return _TRANSIT_S + self._lag_s
