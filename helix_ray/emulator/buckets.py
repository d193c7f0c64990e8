"""Groq's limits as continuously refilling buckets.

The law, inferred from published 429 messages and reproduced by them to the last digit: ``used`` falls linearly by
limit / window each second, down to zero; a request is admitted if used + requested <= limit; else it must wait
(used + requested - limit) / limit * window. There is no fixed window and no midnight reset. All times are monotonic seconds.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from helix_ray.emulator.tiers import Limit

WINDOW_S = {"RPM": 60, "TPM": 60, "RPD": 86_400, "TPD": 86_400, "ITPM": 60, "OTPM": 60}
_MAX_BREACHES = 20  # kept for the summary; one is a defect already


class Refused(NamedTuple):
    """A request that does not fit now, in the whole numbers that the 429 body shows."""

    kind: str
    limit: int
    used: int
    requested: int


class Bucket:
    """One limit: requests or tokens, per minute or per day."""

    __slots__ = ("_tolerance", "breaches", "enforced", "first_at", "kind", "last_at", "limit", "rate", "reserved", "settled", "used")

    def __init__(self, limit: Limit) -> None:
        self.kind = limit.kind
        self.limit = limit.amount
        self.enforced = limit.enforced
        self.rate = limit.amount / WINDOW_S[limit.kind]  # refill per second
        # Whoever waits exactly as told must be admitted, although the wait was cut to whole nanoseconds.
        self._tolerance = self.rate * 2e-9 + limit.amount * 1e-12
        self.used = 0.0
        self.settled = 0  # of finished requests, after the refund
        self.reserved = 0  # of requests in flight
        self.first_at: float | None = None
        self.last_at = 0.0
        self.breaches: list[str] = []

    def refill(self, now: float) -> None:
        if self.first_at is None:
            self.first_at = now
        elif now > self.last_at:
            self.used = max(0.0, self.used - (now - self.last_at) * self.rate)
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
        self._verify()

    def settle(self, charged: int, final: int) -> None:
        """Replaces what an admitted request was charged by what it counts for good; the difference is refunded."""
        self.used = max(0.0, self.used + final - charged)
        self.reserved -= charged
        self.settled += final
        self._verify()

    def _verify(self) -> None:
        """The two bounds that define a bucket, checked against sums kept apart from ``used``."""
        if not self.enforced or self.first_at is None:
            return
        slack = 1e-6 * self.limit + 1e-6
        taken, allowed = self.settled + self.reserved, self.limit + self.rate * (self.last_at - self.first_at)
        if len(self.breaches) < _MAX_BREACHES:
            if self.used > self.limit + slack:
                self.breaches.append(f"{self.kind}: used {self.used} above the limit {self.limit}")
            if taken > allowed + slack:
                self.breaches.append(f"{self.kind}: took {taken}, limit and refill allow {allowed}")

    def summary(self, now: float) -> dict[str, object]:
        """What was taken from the bucket. ``seconds`` runs from the first request to the last event, so that reading the
        summary late does not lower the utilisation; ``seconds_since_first_request`` runs to ``now``.
        """
        seconds = 0.0 if self.first_at is None else self.last_at - self.first_at
        capacity = self.limit + self.rate * seconds
        return {
            "limit": self.limit,
            "enforced": self.enforced,
            "window_s": WINDOW_S[self.kind],
            "settled": self.settled,
            "reserved": self.reserved,
            "initial_credit": self.limit,
            "seconds": round(seconds, 6),
            "seconds_since_first_request": 0.0 if self.first_at is None else round(now - self.first_at, 6),
            "utilisation": round(self.settled / capacity, 6),
        }


class BucketSet:
    """All buckets of one organization, model and service tier."""

    __slots__ = ("_by_kind", "_tokens", "buckets", "requests_shown", "tokens_shown")

    def __init__(self, limits: list[Limit]) -> None:
        self.buckets = [Bucket(limit) for limit in limits]
        self._tokens = [bucket.kind[0] == "T" for bucket in self.buckets]
        self._by_kind = {bucket.kind: bucket for bucket in self.buckets}
        self.requests_shown = self._by_kind["RPD"]  # the two whose state the headers show
        self.tokens_shown = self._by_kind["TPM"]

    def too_large(self, tokens: int) -> tuple[str, int] | None:
        """The kind and limit that a request of ``tokens`` can never pass, however long it waits."""
        for kind in ("TPM", "TPD"):
            bucket = self._by_kind.get(kind)
            if bucket is not None and bucket.enforced and tokens > bucket.limit:
                return kind, bucket.limit
        return None

    def touch(self, now: float) -> None:
        for bucket in self.buckets:
            bucket.refill(now)

    def admit(self, tokens: int, now: float) -> Refused | None:
        """Charges every bucket, or none and says which one refuses first, in the order RPM, RPD, TPM, TPD."""
        self.touch(now)
        for bucket, is_tokens in zip(self.buckets, self._tokens, strict=True):
            refused = bucket.refusal(tokens if is_tokens else 1)
            if refused is not None:
                return refused
        for bucket, is_tokens in zip(self.buckets, self._tokens, strict=True):
            bucket.charge(tokens if is_tokens else 1)
        return None

    def settle(self, charged: int, final: int, now: float) -> None:
        """Ends one admitted request: ``charged`` and ``final`` are tokens; a request counts as one for good."""
        self.touch(now)
        for bucket, is_tokens in zip(self.buckets, self._tokens, strict=True):
            if is_tokens:
                bucket.settle(charged, final)
            else:
                bucket.settle(1, 1)

    def breaches(self) -> list[str]:
        return [breach for bucket in self.buckets for breach in bucket.breaches]

    def summary(self, now: float) -> dict[str, object]:
        return {bucket.kind: bucket.summary(now) for bucket in self.buckets}
