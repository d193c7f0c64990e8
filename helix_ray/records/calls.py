"""Requests to the API: their records, their failures, and what they took from its limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal, NamedTuple

ServiceTier = Literal["on_demand", "flex"]
RequestedTier = Literal[ServiceTier, "auto"]  # auto: the tier that has room first


class CallState(StrEnum):
    """What became of one request to the API. Drawn in docs/output.md."""

    INTENDED = "intended"
    SENT = "sent"
    ANSWERED = "answered"
    FAILED = "failed"
    POSSIBLY_BILLED = "possibly_billed"


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One row of ``api_calls``: one request, whatever its outcome. Cost is recorded here and nowhere else."""

    call_id: str  # uuid
    kind: str  # analysis | repair | probe
    attempt: int  # 1-based
    read_indices: list[int]
    state: CallState
    status: int | None  # HTTP status; None when no answer came
    model: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    worst_case_usd: Decimal = Decimal(0)
    cost_usd: Decimal = Decimal(0)
    latency_ms: float | None = None
    provider_request_id: str | None = None
    error_kind: str | None = None
    error: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    service_tier: ServiceTier | None = None  # as sent
    prompt_estimate: int = 0  # tokens; with max_completion_tokens, what its permit reserved
    max_completion_tokens: int = 0
    throttle_epoch: str | None = None  # the incarnation of the throttle that gave its permit
    retry: bool = False  # about a read that the API had failed to answer: bounded by retry.max_share
    provider: str | None = None  # None: of an earlier version
    usage_estimated: bool = False  # answered without a count of tokens: its cost is the worst case


class Receipt(NamedTuple):
    """A 2xx answer as it arrived, before anything in it was read."""

    call_id: str
    read_indices: list[int]  # asked about, in the order of the request
    arrived_at: datetime
    status: int
    body: bytes


class Intent(NamedTuple):
    """A request that is about to be sent."""

    call: ApiCall
    unusable: tuple[tuple[str, int], ...] = ()  # (call id, read index): answers in which its holder found nothing usable for that read


class StoredAnswer(NamedTuple):
    """An answer that nobody is known to have judged, with the record of its request."""

    call: ApiCall
    receipt: Receipt


class Refused(NamedTuple):
    """Why a request must not be sent. Its reads that are not named here may be asked about in a new one."""

    call_id: str
    done: list[int]  # reads with a row
    unsaved: list[int]  # reads whose result waits in the sink for its commit
    answers: list[tuple[int, StoredAnswer]]  # (read index, an answer to be judged for it), the oldest first


def failure_kind(state: CallState, status: int | None, error_kind: str | None) -> str | None:
    """What kind of failure of the API a request met, by its row. None: no failure, a 429, or a request that we gave up.

    ``capacity``: 498, no room in the flex tier. ``overloaded``: 503. ``server``: every other 5xx. ``transport``: refused, lost or
    late. ``unusable``: a 200 that was no completion. ``rejected``: every other 4xx.
    """
    if state is CallState.ANSWERED or error_kind is None or error_kind in NOT_THE_API or status == 429:
        return None
    if status is None:
        return "transport"
    return {498: "capacity", 503: "overloaded"}.get(status) or ("server" if status >= 500 else "rejected" if status >= 400 else "unusable")


FAILURE_KINDS = {
    "capacity": "no room in the flex tier (498)",
    "overloaded": "API over capacity (503)",
    "server": "API failed (other 5xx)",
    "transport": "no connection, lost or late",
    "unusable": "an answer that was none",
    "rejected": "request rejected (other 4xx)",
}
"""What `failure_kind` tells apart, in words for people."""

NOT_THE_API = frozenset({"abandoned", "unsettled", "not_sent"})
"""Error kinds of requests that this program gave up (stopped, or crashed), or whose permit was withdrawn."""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    prompt: int
    cached: int
    completion: int


class PastUse(NamedTuple):
    """What one request, or the requests of one minute, took from the limits of a model, as the ledger knows it."""

    age_s: float  # since it was charged, 0 and up; of several the youngest's
    requests: int
    prompt_tokens: int  # not cached
    completion_tokens: int  # of requests without a known end: all that they may use
    service_tier: ServiceTier = "on_demand"
