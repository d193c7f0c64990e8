"""The report of a run: counted at each term's own source, and checked that it adds up.

The queue counts what was admitted, the database what was stored, the throttle what the limits allowed. Where the terms do
not add up the report says so in ``lost`` or ``duplicates``; nothing is derived so that it must.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from helix_ray.records import Disposition, JsonObject, RunStatus

SIMULATED = "scripted error rates; says nothing about any LLM"
NOTICE = f"EMULATOR RESULTS: {SIMULATED}"


@dataclass(frozen=True, slots=True)
class Admission:
    """What the queue says of this session. Counts are reads, times seconds."""

    admitted: int
    handed_back: int  # still waiting or returned when the session ended
    max_queue_depth: int
    max_redelivered: int
    max_leased: int
    max_held: int
    blocked_seconds: float


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database says of the whole run, by SQL."""

    rows: int
    by_disposition: Mapping[str, int]
    dead_letter_kinds: Mapping[str, int]
    duplicates: int
    reads_repaid: int
    repairs: int
    possibly_billed: int
    requests: int
    http_429: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_usd: Decimal
    latency_ms: Mapping[str, float | None]
    truth_reads: int
    identifiable_reads: int
    resent: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    reads_by_tier: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Session:
    """What the driver knows of this session of the run."""

    run_id: str
    status: RunStatus
    reason: str
    backend: str
    simulated: bool
    requested: int | None  # reads in the source; None when endless or not read to its end
    rows_before: int  # rows that the run had when this session started
    rows_at_open: int  # rows that it had when the queue began to count; more than rows_before after a restart of the queue
    duration_s: float  # above 0
    peak_pss_mb: float
    queue_capacity: int
    conflicts_suppressed: int
    utilisation: Mapping[str, float] = field(default_factory=dict)
    bottlenecks: Mapping[str, int] = field(default_factory=dict)  # looks at which the run waited for each
    authorised_usd: Decimal | None = None  # the most that the run could have cost: put on record before it was granted
    accuracy: Mapping[str, Any] | None = None
    agreement: Mapping[str, Any] | None = None
    ceiling: Mapping[str, Any] | None = None
    scoring: Mapping[str, Any] | None = None
    model: str | None = None  # None: the aligner alone answered
    configuration: Mapping[str, Any] | None = None
    resume_command: str | None = None


def lost_reads(session: Session, admission: Admission, stored: Stored | None) -> int | None:
    """Reads without a trace: 0, or there is a defect. None when the database could not be asked.

    Complete run: requested − rows. Otherwise: admitted − (new rows + reads handed back).
    """
    if stored is None:
        return None
    if session.status is RunStatus.COMPLETE and session.requested is not None:
        return session.requested - stored.rows
    return admission.admitted - (stored.rows - session.rows_at_open + admission.handed_back)


def build_report(session: Session, admission: Admission, stored: Stored | None) -> JsonObject:
    """The report as JSON values; docs/output.md describes every key. ``stored`` None: the database is lost, its terms are null."""
    return {
        "run_id": session.run_id,
        "status": session.status.value,
        "reason": session.reason,
        "backend": session.backend,
        "model": session.model,
        "simulated": session.simulated,
        "notice": NOTICE if session.simulated else None,
        "reads_requested": session.requested,
        "reads_produced": session.rows_at_open + admission.admitted,
        **_dispositions(stored),
        "dead_letters_by_kind": stored and dict(stored.dead_letter_kinds),
        "reads_handed_back": admission.handed_back,
        "lost": lost_reads(session, admission, stored),
        "duplicates": stored and stored.duplicates,
        "conflicts_suppressed": session.conflicts_suppressed,
        "reads_repaid": stored and stored.reads_repaid,
        "possibly_billed": stored and stored.possibly_billed,
        "duration_s": round(session.duration_s, 3),
        "reads_per_s": stored and round((stored.rows - session.rows_before) / session.duration_s, 3),
        "requests": stored and stored.requests,
        "repairs": stored and stored.repairs,
        "http_429": stored and stored.http_429,
        "failures_by_kind": stored and dict(stored.failures),
        "resent": stored and stored.resent,
        "resent_share": stored and (round(stored.resent / stored.requests, 4) if stored.requests else None),
        "reads_by_tier": stored and dict(stored.reads_by_tier),
        "utilisation": {name: round(share, 4) for name, share in session.utilisation.items()},
        "bottleneck": _bottleneck(session),
        "bottleneck_shares": _shares(session.bottlenecks),
        "tokens": stored and {"prompt": stored.prompt_tokens, "cached": stored.cached_tokens, "completion": stored.completion_tokens},
        "cost_usd": stored and float(stored.cost_usd),
        "authorised_usd": None if session.authorised_usd is None else float(session.authorised_usd),
        "cost_per_1000_reads": stored and _per_1000(stored),
        "queue_capacity": session.queue_capacity,
        "max_queue_depth": admission.max_queue_depth,
        "max_redelivered": admission.max_redelivered,
        "max_leased": admission.max_leased,
        "max_held": admission.max_held,
        "blocked_seconds": round(admission.blocked_seconds, 3),
        "peak_pss_mb": round(session.peak_pss_mb, 1),
        "latency_ms": stored and {name: stored.latency_ms.get(name) for name in ("p50", "p95", "p99")},
        "accuracy": session.accuracy,
        "ceiling": session.ceiling,
        "agreement": session.agreement,
        "scoring": session.scoring,
        "truth_reads": stored and stored.truth_reads,
        "identifiable_reads": stored and stored.identifiable_reads,
        "resume_command": session.resume_command,
        "configuration": session.configuration,
    }


def _dispositions(stored: Stored | None) -> JsonObject:
    keys = {
        "reads_stored": Disposition.STORED,
        "dead_letters": Disposition.DEAD_LETTER,
        "reads_unplaced": Disposition.UNPLACED,
        "reads_filtered": Disposition.FILTERED,
        "reads_malformed": Disposition.MALFORMED,
    }
    return {key: stored and stored.by_disposition.get(ending.value, 0) for key, ending in keys.items()}


def _bottleneck(session: Session) -> str | None:
    """What the run waited for most of the time, if it was for anything."""
    named = {name: looks for name, looks in session.bottlenecks.items() if name != "none"}
    return max(named, key=lambda name: named[name], default=None)


def _shares(looks: Mapping[str, int]) -> dict[str, float]:
    """The largest first."""
    total = sum(looks.values())
    return {name: round(count / total, 4) for name, count in sorted(looks.items(), key=lambda item: -item[1])}


def _per_1000(stored: Stored) -> float | None:
    analysed = stored.by_disposition.get(Disposition.STORED.value, 0)
    return round(float(stored.cost_usd) * 1000 / analysed, 6) if analysed else None
