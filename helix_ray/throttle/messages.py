"""Requests and replies between analyzers and the throttle. Tokens are counts, money is US dollars, durations are seconds."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, NamedTuple

from helix_ray.providers.readings import LimitReading, RateLimitDetail, Trouble
from helix_ray.records import ServiceTier, TokenUsage

Outcome = Literal["answered", "rejected", "not_sent", "unknown"]
RefusalReason = Literal["budget", "refused", "daily"]


class PermitRequest(NamedTuple):
    """Asks for a permit to send one request. ``want_id`` is unique for ever: asked again, the request keeps its place."""

    want_id: str
    prompt_tokens: int  # an estimate that is rarely exceeded
    max_completion_tokens: int
    worst_case_usd: Decimal
    service_tier: Literal["on_demand", "flex", "auto"] = "on_demand"  # auto: the tier that has room first
    retry: bool = False  # of a request that failed: bounded by the retry budget


class Permit(NamedTuple):
    """A lease to send one request: settle it before it expires, or it counts as sent and billed at its worst case."""

    want_id: str
    permit_id: str
    expires_in_s: float
    service_tier: ServiceTier = "on_demand"  # to be sent: the tier whose limits were reserved


class Refusal(NamedTuple):
    reason: RefusalReason
    message: str


class AcquireReply(NamedTuple):
    """No grants and no refusal: nothing became free in time, ask again."""

    grants: list[Permit]
    refusal: Refusal | None
    concurrency: int | None = None  # the concurrency limit, requests in flight over all holders; None: not bounded


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
