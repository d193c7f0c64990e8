"""The limits of one organization: buckets for each model and service tier, which other clients on the key share.

The law, inferred from published 429 messages and reproduced by them to the last digit: ``used`` falls linearly by
limit / window each second, down to zero; a request is admitted if used + requested <= limit; else it must wait
(used + requested - limit) / limit * window. There is no fixed window and no midnight reset. Other servers count in fixed
windows: ``used`` falls to zero whenever the clock has passed a whole number of windows. All times are monotonic seconds.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from helix_ray.config.emulator import EmulatorConfig, EmulatorNeighbour
from helix_ray.emulator.laws import GROQ, LAWS, Law
from helix_ray.emulator.published import MODELS, WINDOW_S, Headers, Limit, Model, Refused, go_duration, limits_of

_MAX_BREACHES = 20  # kept for the summary; one is a defect already
_MAX_ARRIVALS = 100_000  # of other clients, made up for at once; after a longer silence the oldest ones are left out


REQUESTS, TOKENS, INPUT, OUTPUT = range(4)
MEASURE = {"RPM": REQUESTS, "RPD": REQUESTS, "TPM": TOKENS, "TPD": TOKENS, "ITPM": INPUT, "OTPM": OUTPUT}
"""What each kind of limit counts, by its place in `Amounts`."""


class Amounts(NamedTuple):
    """What one request takes, as the kinds of limit count it."""

    requests: int
    tokens: int
    input_tokens: int
    output_tokens: int


def amounts(input_tokens: int, output_tokens: int) -> Amounts:
    return Amounts(1, input_tokens + output_tokens, input_tokens, output_tokens)


class Bucket:
    """One limit: requests or tokens, per minute or per day. ``fixed``: see `Law`."""

    def __init__(self, limit: Limit, fixed: bool = False) -> None:
        self.kind = limit.kind
        self.window_s = WINDOW_S[limit.kind]
        self._fixed = fixed
        self.measure = MEASURE[limit.kind]
        self.used = 0.0
        self.settled = 0  # of finished requests, after the refund
        self.reserved = 0  # of requests in flight
        self.others = 0  # taken by other clients
        self.rejected = 0  # of refused requests that were charged all the same
        self.first_at: float | None = None
        self.last_at = 0.0
        self.breaches: list[str] = []
        self._refilled = 0.0  # what the rate gave since the first request, whether there was room for it or not
        self._highest = 0  # limit so far: what could be taken at once, beside the refill
        self.change(limit)

    def change(self, limit: Limit) -> None:
        """Set a new limit. Precondition: refilled. What was used stays used, also where it exceeds the new limit."""
        self.limit = limit.amount
        self.enforced = limit.enforced
        self.rate = limit.amount / self.window_s  # refill per second
        # A client that waits exactly as long as the 429 says must be admitted, although the wait was cut to whole nanoseconds.
        self._tolerance = self.rate * 2e-9 + limit.amount * 1e-12
        self._highest = max(self._highest, limit.amount)

    def refill(self, now: float) -> None:
        if self.first_at is None:
            self.first_at = self.last_at = now
        elif now > self.last_at:  # else the clock stands still, or this moment is already accounted for
            refilled = self._since_last(now) * self.rate
            self._refilled += refilled
            self.used = self.used - refilled if self.used > refilled and not (self._fixed and refilled) else 0.0
            self.last_at = now

    def _since_last(self, now: float) -> float:
        """Seconds, or those of the fixed windows that have ended."""
        return (self._window(now) - self._window(self.last_at)) * self.window_s if self._fixed else now - self.last_at

    def _window(self, now: float) -> float:
        """Fixed windows that have ended. As with ``_tolerance``, the wait that a client was told may have been cut."""
        return (now + 2e-9) // self.window_s

    def reset_s(self, used: float, limit: int) -> float:
        """Until nothing counts as used any more, as last refilled, with these figures."""
        return (self._window(self.last_at) + 1) * self.window_s - self.last_at if self._fixed else used / limit * self.window_s

    def refusal(self, requested: int) -> Refused | None:
        """Why ``requested`` does not fit into the bucket as last refilled."""
        if not self.enforced or self.used + requested <= self.limit + self._tolerance:
            return None
        # rounded up, so that the wait computed from the shown figures is never too short
        return Refused(self.kind, self.limit, ceil(self.used), requested, self.reset_s(0, 1) if self._fixed else None)

    def charge(self, amount: int) -> None:
        self.used += amount
        self.reserved += amount
        if self.enforced and self.used > self.limit * (1 + 1e-6) + 1e-6:
            self._breach(f"used {self.used} above the limit {self.limit}")
        self._verify()

    def charge_other(self, amount: int) -> None:
        """Taken by another client."""
        self.used += amount
        self.others += amount
        self._verify()

    def settle(self, charged: int, final: int, at: float) -> None:
        """Replace what a request admitted ``at`` was charged by what it counts for good; the difference is refunded, unless the
        fixed window in which it was charged has ended.
        """
        if not (self._fixed and self._window(at) < self._window(self.last_at)):
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
        """What was taken. ``seconds`` end with the last event, so that a late look does not lower the utilisation, which is that
        of the client under test: what it settled, of what the limit allowed and other clients left.
        """
        seconds = 0.0 if self.first_at is None else self.last_at - self.first_at
        capacity = self._highest + self._refilled - self.others
        return {
            "limit": self.limit,
            "enforced": self.enforced,
            "window_s": self.window_s,
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

    def __init__(self, limits: list[Limit], law: Law = GROQ) -> None:
        self.law = law
        self._replace([Bucket(limit, law.fixed) for limit in limits])

    def _replace(self, buckets: list[Bucket]) -> None:
        self.buckets = buckets
        self._by_kind = {bucket.kind: bucket for bucket in buckets}
        self.requests_shown = self._by_kind.get(self.law.requests) or self._by_kind["RPD"]  # the two whose state the headers show
        self.tokens_shown = self._by_kind["TPM"]

    def change(self, limits: list[Limit], now: float) -> None:
        """New limits from ``now`` on. A kind that was there keeps what was used; a new one starts empty of use."""
        self.touch(now)
        for limit in limits:
            if limit.kind in self._by_kind:
                self._by_kind[limit.kind].change(limit)
        self._replace([self._by_kind.get(limit.kind) or Bucket(limit, self.law.fixed) for limit in limits])

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
        return next(filter(None, (bucket.refusal(asked[bucket.measure]) for bucket in self.buckets)), None)

    def charge(self, asked: Amounts) -> None:
        """Admit a request. Precondition: no bucket refuses it."""
        for bucket in self.buckets:
            bucket.charge(asked[bucket.measure])

    def admit_other(self, tokens: int, now: float) -> bool:
        """Another client's request of ``tokens``, half of them input; False: refused."""
        asked = amounts(tokens // 2, tokens - tokens // 2)
        self.touch(now)
        if self.refusal(asked) is not None:
            return False
        for bucket in self.buckets:
            bucket.charge_other(asked[bucket.measure])
        return True

    def charge_rejected(self) -> None:
        """Count one refused request against the limits of requests. This may lift ``used`` above the limit."""
        for bucket in self.buckets:
            if bucket.measure == REQUESTS:
                bucket.used += 1
                bucket.rejected += 1

    def settle(self, charged: Amounts, final: Amounts, at: float, now: float) -> None:
        """End one request that was admitted ``at``."""
        self.touch(now)
        for bucket in self.buckets:
            bucket.settle(charged[bucket.measure], final[bucket.measure], at)

    def breaches(self) -> list[str]:
        return [breach for bucket in self.buckets for breach in bucket.breaches]

    def headers(self, refused: Refused | None = None) -> Headers:
        """The six headers, if the law has them: requests (under Groq's law per day) and tokens per minute, as last refilled. Other
        limits are never shown. ``refused`` takes the place of the bucket of its kind, which a scripted outage leaves as it is.
        """
        if not self.law.headers:
            return []
        return [*_shown(b"requests", self.requests_shown, refused), *_shown(b"tokens", self.tokens_shown, refused)]


def _shown(counted: bytes, bucket: Bucket, refused: Refused | None) -> Headers:
    limit, used = (bucket.limit, bucket.used) if refused is None or refused.kind != bucket.kind else (refused.limit, refused.used)
    reset = go_duration(int(bucket.reset_s(used, limit) * 1e9)).encode()
    figures = ((b"limit", b"%d" % limit), (b"remaining", b"%d" % max(0, limit - ceil(used))), (b"reset", reset))
    return [(b"x-ratelimit-%b-%b" % (name, counted), value) for name, value in figures]


class OtherClient:
    """A second client on the key: it asks for its share of TPM at a steady pace and drops what is refused.

    `catch_up` must come before any look at the buckets. Its requests are sums, not ledger entries, since the ledger is the
    bill of the client under test. Each is charged once, as if it were answered at once and used all that it asked for.
    """

    def __init__(self, config: EmulatorNeighbour) -> None:
        self._config = config
        self._next_at: float | None = None
        self.requests = 0
        self.refused = 0
        self.tokens = 0  # of its admitted requests

    def change(self, config: EmulatorNeighbour, now: float) -> None:
        self._config = config
        if self._next_at is not None:
            self._next_at = now

    def catch_up(self, buckets: BucketSet, now: float) -> None:
        """Send every request that was due by ``now``."""
        share, tokens = self._config.share, self._config.request_tokens
        if share == 0:
            return
        if self._next_at is None:
            self._next_at = now
        pause = tokens / (share * buckets.tokens_shown.rate)
        self._next_at = max(self._next_at, now - pause * _MAX_ARRIVALS)
        while self._next_at <= now:
            self.requests += 1
            if buckets.admit_other(tokens, self._next_at):
                self.tokens += tokens
            else:
                self.refused += 1
            self._next_at += pause

    def summary(self) -> dict[str, object]:
        admitted = self.requests - self.refused
        sums = {"requests": self.requests, "admitted": admitted, "refused": self.refused, "tokens": self.tokens}
        return {"share": self._config.share, **sums}


class Organization:
    """The buckets of each model and service tier, and the other clients that share them."""

    def __init__(self, config: EmulatorConfig) -> None:
        self._config = config
        self._groups: dict[tuple[str, str], BucketSet] = {}
        self._other_clients: dict[str, OtherClient] = {}  # by model, for the on-demand tier

    def buckets(self, model: Model, service_tier: str) -> BucketSet:
        """Those of a model and ``on_demand`` or ``flex``."""
        key = (model.id, service_tier)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = BucketSet(limits_of(self._config, model, service_tier), LAWS[self._config.law])
            if service_tier == "on_demand" and self._config.neighbour.share:
                self._other_clients[model.id] = OtherClient(self._config.neighbour)
        return group

    def catch_up(self, model: Model, now: float) -> None:
        """Send what other clients would have sent of this model by ``now``. Call it before looking at the model's buckets."""
        client = self._other_clients.get(model.id)
        if client is not None:
            client.catch_up(self._groups[model.id, "on_demand"], now)

    def change(self, config: EmulatorConfig, now: float) -> None:
        """Other limits and other clients, from ``now`` on."""
        before, self._config = self._config, config
        for (name, service_tier), group in self._groups.items():
            self.catch_up(MODELS[name], now)
            limits = limits_of(config, MODELS[name], service_tier)
            if limits != limits_of(before, MODELS[name], service_tier):
                group.change(limits, now)
            if service_tier == "on_demand" and config.neighbour != before.neighbour:
                self._other_clients.setdefault(name, OtherClient(config.neighbour)).change(config.neighbour, now)

    def breaches(self) -> list[str]:
        """Bounds that did not hold, which would be defects of the emulator."""
        return [f"{name}: {breach}" for name, group in self._named() for breach in group.breaches()]

    def settled_tokens(self) -> dict[tuple[str, str], int]:
        return {key: group.tokens_shown.settled for key, group in self._groups.items()}

    def summary(self, now: float) -> dict[str, object]:
        buckets = {name: {bucket.kind: bucket.summary(now) for bucket in group.buckets} for name, group in self._named()}
        return {"buckets": buckets, "neighbours": {name: client.summary() for name, client in self._other_clients.items()}}

    def _named(self) -> list[tuple[str, BucketSet]]:
        return [(name if tier == "on_demand" else f"{name} {tier}", group) for (name, tier), group in self._groups.items()]
