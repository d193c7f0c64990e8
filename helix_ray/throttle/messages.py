"""What analyzers and the throttle say to each other. Tokens are counts, money is US dollars, durations are seconds."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, NamedTuple

from helix_ray.providers.readings import LimitReading, RateLimitDetail, ServiceTier, Trouble
from helix_ray.records import TokenUsage

Outcome = Literal["answered", "rejected", "not_sent", "unknown"]
RefusalReason = Literal["budget", "refused", "daily"]


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
