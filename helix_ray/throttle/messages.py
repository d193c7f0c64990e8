"""What analyzers and the throttle say to each other. Tokens are counts, money is US dollars, durations are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from helix_ray.records import ServiceTier, TokenUsage

LimitKind = Literal["RPM", "RPD", "TPM", "TPD", "ITPM", "OTPM"]
Outcome = Literal["answered", "rejected", "not_sent", "unknown"]
RefusalReason = Literal["budget", "refused", "daily"]
Trouble = Literal["capacity", "overload", "failure"]
"""What the API did instead of answering: 498, no room in the flex tier; 503, it has too much to do; or it failed (5xx, a lost
connection, a deadline). A 4xx or a 429 is no trouble: it answered.
"""


class Want(NamedTuple):
    """One request that somebody would like to send. ``want_id`` is unique for ever: asked again, it keeps its place."""

    want_id: str
    prompt_tokens: int  # an estimate that is rarely exceeded
    max_completion_tokens: int
    worst_case_usd: Decimal
    service_tier: Literal["on_demand", "flex", "auto"] = "on_demand"  # auto: whichever of the two has room first
    retry: bool = False  # of a request that failed: no more than a share of all sends may be that


class Grant(NamedTuple):
    """A permit, which is a lease: settle it before it expires, or it counts as sent and billed at its worst case."""

    want_id: str
    permit_id: str
    expires_in_s: float
    service_tier: ServiceTier = "on_demand"  # the one to send, since its limits are the ones that were reserved


class Refusal(NamedTuple):
    reason: RefusalReason
    message: str


class AcquireReply(NamedTuple):
    """Both empty: nothing became free in time, ask again."""

    grants: list[Grant]
    refusal: Refusal | None
    concurrency: int | None = None  # requests in flight that the API bears just now, over all holders; None: not bounded


class LimitReading(NamedTuple):
    """The six ``x-ratelimit-*`` headers. On Groq, requests are per day (RPD) and tokens per minute (TPM)."""

    requests_limit: float | None = None
    requests_remaining: float | None = None
    requests_reset_s: float | None = None
    tokens_limit: float | None = None
    tokens_remaining: float | None = None
    tokens_reset_s: float | None = None


class RateLimitDetail(NamedTuple):
    """What a 429 (or the 413 of a request that can never fit) says about the limit it met."""

    kind: LimitKind | None = None
    limit: float | None = None
    used: float | None = None
    requested: int | None = None
    retry_after_s: float | None = None  # the longer of the header and the body's "try again in"

    @property
    def never_fits(self) -> bool:
        """The request alone is larger than the limit: waiting changes nothing."""
        return self.requested is not None and self.limit is not None and self.requested > self.limit


class Settlement(NamedTuple):
    """How a permit ended.

    ``answered``: served, with its usage. ``rejected``: the provider answered with an error and billed nothing; ``limited``
    is set for every 429, and for a 413 that names the limit it is larger than. ``not_sent``: nothing left this machine.
    ``unknown``: sent, and no answer came.
    """

    permit_id: str
    outcome: Outcome
    usage: TokenUsage | None = None
    cost_usd: Decimal | None = None
    reading: LimitReading | None = None
    limited: RateLimitDetail | None = None
    sent_at_age_s: float = 0.0  # how long ago the request was sent; 0 when not known
    latency_s: float | None = None  # from the send to the whole answer
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class BucketStats:
    """One limit as the throttle sees it. Amounts are tokens or requests."""

    limit: float
    source: Literal["configured", "discovered"]
    credit: float  # what could be granted at once; 0..limit
    settled: float  # charged for good since the first grant
    reserved: float  # by requests in flight
    initial_credit: float
    utilisation: float  # settled / (initial credit + limit × time since the first grant)


@dataclass(frozen=True, slots=True)
class ThrottleStats:
    buckets: dict[str, BucketStats]
    spent_usd: Decimal
    reserved_usd: Decimal
    max_cost_usd: Decimal
    in_flight: int
    waiting: int
    granted: int
    answered: int
    http_429: int
    gate_closed_for_s: float  # until the gate opens again; 0 when open
    probing: bool
    binding: str | None  # the bucket that made the head of the line wait most of the recent time
    budget_exhausted: bool
    refunds: bool | None  # whether the provider returns what a request reserved and did not use; None: not known yet
    refused: str | None = None  # why the provider refuses for good
    concurrency: int | None = None  # requests in flight that the API bears just now; None: not bounded, or not known yet
    breaker: Literal["closed", "open", "half_open"] = "closed"
    parked: str | None = None  # the daily limit that is used up: RPD or TPD
    parked_for_s: float = 0.0  # since when
    next_probe_in_s: float = 0.0  # of a parked run
    daily_stop: str | None = None  # why the run ends, with on_daily_limit: stop
    authorised_usd: Decimal | None = None  # committed to runs.reserved_usd; None: nobody asked for that

    def counters(self) -> dict[str, float]:
        """Flat numbers for the metrics actor; ``bucket.<NAME>.<field>`` for every limit known."""
        flat = {
            "requests_granted": float(self.granted),
            "requests_answered": float(self.answered),
            "http_429": float(self.http_429),
            "spent_usd": float(self.spent_usd),
            "reserved_usd": float(self.reserved_usd),
            "max_cost_usd": float(self.max_cost_usd),
            "in_flight": float(self.in_flight),
            "waiting": float(self.waiting),
            "gate_closed_for_s": self.gate_closed_for_s,
            "probing": float(self.probing),
            "budget_exhausted": float(self.budget_exhausted),
            "parked_for_s": self.parked_for_s,
            "next_probe_in_s": self.next_probe_in_s,
        }
        if self.concurrency is not None:
            flat["concurrency"] = float(self.concurrency)
        if self.authorised_usd is not None:
            flat["authorised_usd"] = float(self.authorised_usd)
        for name, bucket in self.buckets.items():
            for field in ("limit", "credit", "settled", "reserved", "initial_credit", "utilisation"):
                flat[f"bucket.{name}.{field}"] = float(getattr(bucket, field))
            flat[f"bucket.{name}.binding"] = float(name == self.binding)
        return flat

    def texts(self) -> dict[str, str]:
        """What `counters` cannot say."""
        named = {f"bucket.{name}.source": bucket.source for name, bucket in self.buckets.items()}
        return {**named, "binding": self.binding or "", "breaker": self.breaker, "parked": self.parked or ""}
