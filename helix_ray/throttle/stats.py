"""The state of the throttle as its callers see it. Tokens are counts, money is US dollars, durations are seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from helix_ray.records.marks import COUNTER, GAUGE, MAXIMUM


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
    binding: bool = field(default=False, metadata=GAUGE)  # it made the head of the line wait most of the recent time


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
    binding: str | None  # the bucket that made the head of the line wait most of the recent time
    budget_exhausted: bool = field(metadata=GAUGE)
    refunds: bool | None = field(metadata=GAUGE)  # the provider returns what a request reserved and did not use; None: not known yet
    refused: str | None = None  # why the provider refuses for good
    concurrency: int | None = field(default=None, metadata=GAUGE)  # adaptive limit on requests in flight; None: none, or not known
    breaker: Literal["closed", "open", "half_open"] = "closed"
    parked: str | None = None  # the daily limit that is used up: RPD or TPD
    parked_for_s: float = field(default=0.0, metadata=GAUGE)  # since when
    next_probe_in_s: float = field(default=0.0, metadata=GAUGE)  # of a parked run
    daily_stop: str | None = None  # why the run ends, with on_daily_limit: stop
    authorised_usd: Decimal | None = field(default=None, metadata=GAUGE)  # committed to runs.reserved_usd; None: not asked for
