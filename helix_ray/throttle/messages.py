"""What the throttle is asked and answers, and its state. Tokens are counts, money is US dollars, durations are seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

from helix_ray.providers.readings import LimitReading, RateLimitDetail, Trouble
from helix_ray.records import ServiceTier, TokenUsage
from helix_ray.records.calls import RequestedTier
from helix_ray.records.marks import COUNTER, GAUGE, MAXIMUM

SettlementOutcome = Literal["answered", "rejected", "not_sent", "unknown"]

AHEAD_S = 1.0
"""How long a permit that was leased ahead may be kept unused, from the sending of the call that leased it."""


class PermitRequest(NamedTuple):
    """Asks for a permit to send one request. ``want_id`` is unique for ever: asked again, the request keeps its place."""

    want_id: str
    prompt_tokens: int  # an estimate that is rarely exceeded
    max_completion_tokens: int
    worst_case_usd: Decimal
    service_tier: RequestedTier = "on_demand"
    retry: bool = False  # of a request that failed: bounded by the retry budget
    ahead: bool = False  # of a request that is only expected: granted out of ample room or not at all


class Permit(NamedTuple):
    """A lease to send one request: settle it before it expires, or it counts as sent and billed at its worst case."""

    want_id: str
    permit_id: str
    expires_in_s: float
    service_tier: ServiceTier = "on_demand"  # to be sent: the tier whose limits were reserved


class Refusal(NamedTuple):
    reason: Literal["budget", "refused", "daily"]
    message: str


class AcquireReply(NamedTuple):
    """No grants and no refusal: nothing became free in time, ask again."""

    grants: list[Permit]
    refusal: Refusal | None
    concurrency: int | None = None  # requests in flight over all holders, while the API bears fewer than configured; None: not bounded
    unknown: Sequence[str] = ()  # of `Exchange.waiting`: to be told in full again


class Settlement(NamedTuple):
    """How a permit ended.

    ``answered``: served, with its usage. ``rejected``: the provider answered with an error and billed nothing; ``limited``
    is set for every 429, and for a 413 that names the limit it is larger than. ``not_sent``: nothing left this machine.
    ``unknown``: sent, and no answer came.
    """

    permit_id: str
    outcome: SettlementOutcome
    usage: TokenUsage | None = None
    cost_usd: Decimal | None = None
    reading: LimitReading | None = None
    limited: RateLimitDetail | None = None
    sent_at_age_s: float = 0.0  # how long ago the request was sent; 0 when not known
    latency_s: float | None = None  # from the send to the whole answer
    trouble: Trouble | None = None


class Exchange(NamedTuple):
    """All that a holder tells and asks the throttle in one call."""

    requests: Sequence[PermitRequest] = ()  # told for the first time, or again in full
    waiting: Sequence[str] = ()  # ids of requests that were told before and still wait
    settlements: Sequence[Settlement] = ()
    withdrawn: Sequence[str] = ()  # ids of requests that will not be sent
    unused: int = 0  # permits leased ahead that the holder has


@dataclass(frozen=True, slots=True)
class BucketStats:
    """One limit as the throttle sees it. Amounts are tokens or requests."""

    limit: float = field(metadata=GAUGE)
    source: Literal["configured", "discovered"]
    credit: float = field(metadata=GAUGE)  # what could be granted at once; 0..limit
    settled: float = field(metadata=GAUGE)  # charged for good since the first grant
    reserved: float = field(metadata=GAUGE)  # by requests in flight
    initial_credit: float = field(metadata=GAUGE)
    utilisation: float = field(metadata=GAUGE)  # settled / (initial credit + limit × time since the first grant)
    binding: bool = field(default=False, metadata=GAUGE)  # it made the head of the wait queue wait most of the recent time


@dataclass(frozen=True, slots=True)
class ThrottleStats:
    buckets: dict[str, BucketStats] = field(metadata={"name": "bucket"})
    spent_usd: Decimal = field(metadata=MAXIMUM)  # no counter: a restarted throttle begins with what the ledger has
    reserved_usd: Decimal = field(metadata=GAUGE)
    max_cost_usd: Decimal = field(metadata=GAUGE)
    in_flight: int = field(metadata=GAUGE)
    waiting: int = field(metadata=GAUGE)
    granted: int = field(metadata={**COUNTER, "name": "requests_granted"})
    answered: int = field(metadata={**COUNTER, "name": "requests_answered"})
    http_429: int = field(metadata=COUNTER)
    gate_closed_for_s: float = field(metadata=GAUGE)  # until the gate opens again; 0 when open
    probing: bool = field(metadata=GAUGE)
    binding: str | None  # the bucket that made the head of the wait queue wait most of the recent time
    budget_exhausted: bool = field(metadata=GAUGE)
    refused: str | None = None  # why the provider refuses for good
    concurrency: int | None = field(default=None, metadata=GAUGE)  # the most requests in flight while that is fewer than configured
    breaker: Literal["closed", "open", "half_open"] = "closed"
    parked: str | None = None  # the daily limit that is used up: RPD or TPD
    parked_for_s: float = field(default=0.0, metadata=GAUGE)  # since when
    next_probe_in_s: float = field(default=0.0, metadata=GAUGE)  # while the door is closed; 0: a probe is out, or due
    door: Literal["cooldown", "daily", "failing"] | None = None  # why nothing but single probes may be sent; None: it is open
    door_bound_s: float = field(default=0.0, metadata=GAUGE)  # the longest time between two probes
    daily_stop: str | None = None  # why the run ends, with on_daily_limit: stop
    authorised_usd: Decimal | None = field(default=None, metadata=GAUGE)  # committed to runs.reserved_usd; None: not asked for
