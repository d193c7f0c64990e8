"""The state of the throttle as its callers see it. Tokens are counts, money is US dollars, durations are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal


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
