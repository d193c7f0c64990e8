"""Groq's limits as continuously refilling buckets.

The law, inferred from published 429 messages and reproduced by them to the last digit: ``used`` falls linearly by
limit / window each second, down to zero; a request is admitted if used + requested <= limit; else it must wait
(used + requested - limit) / limit * window. There is no fixed window and no midnight reset. All times are monotonic seconds.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from helix_ray.emulator.tiers import Limit
from helix_ray.emulator.windows import MEASURE, REQUESTS, WINDOW_S

_MAX_BREACHES = 20  # kept for the summary; one is a defect already


class Amounts(NamedTuple):
    """What one request takes, as the kinds of limit count it."""

    requests: int
    tokens: int
    input_tokens: int
    output_tokens: int


def amounts(input_tokens: int, output_tokens: int) -> Amounts:
    """Of one request."""
    return Amounts(1, input_tokens + output_tokens, input_tokens, output_tokens)


class Refused(NamedTuple):
    """A request that does not fit now, in the whole numbers that the 429 body shows."""

    kind: str
    limit: int
    used: int
    requested: int


class Bucket:
    """One limit: requests or tokens, per minute or per day."""

    __slots__ = (
        "_highest", "_refilled", "_tolerance", "breaches", "enforced", "first_at", "kind", "last_at", "limit", "measure", "others", "rate",
        "rejected", "reserved", "settled", "used",
    )  # fmt: skip

    def __init__(self, limit: Limit) -> None:
        self.kind = limit.kind
        self.measure = MEASURE[limit.kind]
        self.used = 0.0
        self.settled = 0  # of finished requests, after the refund
        self.reserved = 0  # of requests in flight
        self.others = 0  # taken by the neighbour
        self.rejected = 0  # of refused requests that were charged all the same
        self.first_at: float | None = None
        self.last_at = 0.0
        self.breaches: list[str] = []
        self._refilled = 0.0  # what the rate gave since the first request, whether there was room for it or not
        self._highest = 0  # limit so far: what could be taken at once, beside the refill
        self.change(limit)

    def change(self, limit: Limit) -> None:
        """A new limit; what was used stays used, also where that is more than the new limit. Refill first."""
        self.limit = limit.amount
        self.enforced = limit.enforced
        self.rate = limit.amount / WINDOW_S[limit.kind]  # refill per second
        # Whoever waits exactly as told must be admitted, although the wait was cut to whole nanoseconds.
        self._tolerance = self.rate * 2e-9 + limit.amount * 1e-12
        self._highest = max(self._highest, limit.amount)

    def refill(self, now: float) -> None:
        if self.first_at is None:
            self.first_at = now
        elif now > self.last_at:
            refilled = (now - self.last_at) * self.rate
            self._refilled += refilled
            self.used = self.used - refilled if self.used > refilled else 0.0
        else:
            return  # a clock that stands still, or a moment already accounted for
        self.last_at = now

    def refusal(self, requested: int) -> Refused | None:
        """Why ``requested`` does not fit into the bucket as last refilled. ``used`` is shown rounded up, so that the wait
        computed from the shown figures is never too short.
        """
        if not self.enforced or self.used + requested <= self.limit + self._tolerance:
            return None
        return Refused(self.kind, self.limit, ceil(self.used), requested)

    def charge(self, amount: int) -> None:
        self.used += amount
        self.reserved += amount
        if self.enforced and self.used > self.limit * (1 + 1e-6) + 1e-6:
            self._breach(f"used {self.used} above the limit {self.limit}")
        self._verify()

    def charge_other(self, amount: int) -> None:
        """Taken by the neighbour."""
        self.used += amount
        self.others += amount
        self._verify()

    def charge_rejected(self, amount: int) -> None:
        """Counts a refused request. This may lift ``used`` above the limit."""
        self.used += amount
        self.rejected += amount

    def settle(self, charged: int, final: int) -> None:
        """Replaces what an admitted request was charged by what it counts for good; the difference is refunded."""
        self.used = max(0.0, self.used + final - charged)
        self.reserved -= charged
        self.settled += final
        self._verify()

    def _verify(self) -> None:
        """The bound that defines a bucket, checked against sums kept apart from ``used``."""
        if self.enforced and (taken := self.settled + self.reserved + self.others) > (self._highest + self._refilled) * (1 + 1e-6) + 1e-6:
            self._breach(f"took {taken}, limit and refill allow {self._highest + self._refilled}")

    def _breach(self, what: str) -> None:
        if len(self.breaches) < _MAX_BREACHES:
            self.breaches.append(f"{self.kind}: {what}")

    def summary(self, now: float) -> dict[str, object]:
        """What was taken from the bucket. ``seconds`` runs from the first request to the last event, so that reading the
        summary late does not lower the utilisation; ``seconds_since_first_request`` runs to ``now``. ``utilisation`` is that
        of the client under test: what it settled, of what the limit allowed and the neighbour left.
        """
        seconds = 0.0 if self.first_at is None else self.last_at - self.first_at
        capacity = self._highest + self._refilled - self.others
        return {
            "limit": self.limit,
            "enforced": self.enforced,
            "window_s": WINDOW_S[self.kind],
            "settled": self.settled,
            "reserved": self.reserved,
            "neighbour": self.others,
            "rejected": self.rejected,
            "used": round(self.used, 3),
            "initial_credit": self._highest,
            "refilled": round(self._refilled, 3),
            "seconds": round(seconds, 6),
            "seconds_since_first_request": 0.0 if self.first_at is None else round(now - self.first_at, 6),
            "utilisation": round(self.settled / capacity, 6) if capacity > 0 else 1.0,
        }


class BucketSet:
    """All buckets of one organization, model and service tier."""

    __slots__ = ("_by_kind", "buckets", "requests_shown", "tokens_shown")

    def __init__(self, limits: list[Limit]) -> None:
        self.buckets: list[Bucket] = []
        self._by_kind: dict[str, Bucket] = {}
        self._replace([Bucket(limit) for limit in limits])

    def _replace(self, buckets: list[Bucket]) -> None:
        self.buckets = buckets
        self._by_kind = {bucket.kind: bucket for bucket in buckets}
        self.requests_shown = self._by_kind["RPD"]  # the two whose state the headers show
        self.tokens_shown = self._by_kind["TPM"]

    def change(self, limits: list[Limit], now: float) -> None:
        """New limits from ``now`` on. A kind that was there keeps what was used; one that is new starts empty of use."""
        self.touch(now)
        buckets = []
        for limit in limits:
            bucket = self._by_kind.get(limit.kind)
            if bucket is None:
                bucket = Bucket(limit)
            else:
                bucket.change(limit)
            buckets.append(bucket)
        self._replace(buckets)

    def limit_of(self, kind: str) -> int | None:
        bucket = self._by_kind.get(kind)
        return None if bucket is None else bucket.limit

    def too_large(self, asked: Amounts) -> Refused | None:
        """The limit that the request can never pass, however long it waits."""
        for bucket in self.buckets:
            requested = asked[bucket.measure]
            if requested > bucket.limit and bucket.enforced and bucket.measure != REQUESTS:
                return Refused(bucket.kind, bucket.limit, 0, requested)
        return None

    def touch(self, now: float) -> None:
        for bucket in self.buckets:
            bucket.refill(now)

    def refusal(self, asked: Amounts) -> Refused | None:
        """Which bucket, as last refilled, refuses first, in the order RPM, RPD, TPM, TPD, ITPM, OTPM."""
        for bucket in self.buckets:
            refused = bucket.refusal(asked[bucket.measure])
            if refused is not None:
                return refused
        return None

    def charge(self, asked: Amounts) -> None:
        """Admits a request that no bucket refuses."""
        for bucket in self.buckets:
            bucket.charge(asked[bucket.measure])

    def admit(self, asked: Amounts, now: float) -> Refused | None:
        """Charges every bucket, or none and says which one refuses first."""
        self.touch(now)
        refused = self.refusal(asked)
        if refused is None:
            self.charge(asked)
        return refused

    def admit_other(self, tokens: int, now: float) -> bool:
        """The neighbour's request of ``tokens``, half of them input; False: refused."""
        asked = amounts(tokens // 2, tokens - tokens // 2)
        self.touch(now)
        if self.refusal(asked) is not None:
            return False
        for bucket in self.buckets:
            bucket.charge_other(asked[bucket.measure])
        return True

    def charge_rejected(self) -> None:
        """Counts one refused request against the limits of requests."""
        for bucket in self.buckets:
            if bucket.measure == REQUESTS:
                bucket.charge_rejected(1)

    def settle(self, charged: Amounts, final: Amounts, now: float) -> None:
        """Ends one admitted request."""
        self.touch(now)
        for bucket in self.buckets:
            bucket.settle(charged[bucket.measure], final[bucket.measure])

    def breaches(self) -> list[str]:
        return [breach for bucket in self.buckets for breach in bucket.breaches]

    def summary(self, now: float) -> dict[str, object]:
        return {bucket.kind: bucket.summary(now) for bucket in self.buckets}
