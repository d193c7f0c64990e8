"""The report of a run: counted at each term's own source, and checked that it adds up.

The queue counts what was admitted, the database what was stored, the throttle what the limits allowed. Where the terms do
not add up the report says so in ``lost`` or ``duplicates``; nothing is derived so that it must.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from helix_ray.queueing.messages import QueueStats
from helix_ray.records import CallState, Disposition, JsonObject, RunStatus
from helix_ray.results import schema
from helix_ray.results.formatting import NOTICE
from helix_ray.storage.ledger import Agreement, RunCounts


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
    accuracy: schema.ByType | None = None
    accuracy_all_differences: schema.ByType | None = None
    agreement: Agreement | None = None
    ceiling: schema.ByType | None = None
    scoring: schema.Scoring | None = None
    provider: str | None = None  # None: the aligner alone answered
    model: str | None = None  # likewise
    configuration: JsonObject | None = None
    history: JsonObject | None = None  # of this session
    resume_command: str | None = None


def build_report(session: Session, queue: QueueStats | None, stored: RunCounts | None) -> schema.Report:
    """The report as JSON values. ``queue`` None: it counted nothing. ``stored`` None: the database is lost, its terms are null."""
    return {
        "run_id": session.run_id,
        "status": session.status.value,
        "reason": session.reason,
        "backend": session.backend,
        "provider": session.provider,
        "model": session.model,
        "simulated": session.simulated,
        "notice": NOTICE if session.simulated else None,
        "reads_requested": session.requested,
        "reads_produced": session.rows_at_open + (queue.admitted if queue else 0),
        "reads_stored": _ended(stored, Disposition.STORED),
        "dead_letters": _ended(stored, Disposition.DEAD_LETTER),
        "reads_unplaced": _ended(stored, Disposition.UNPLACED),
        "reads_filtered": _ended(stored, Disposition.FILTERED),
        "reads_malformed": _ended(stored, Disposition.MALFORMED),
        "left_out": stored and dict(stored.left_out),
        "dead_letters_by_kind": stored and dict(stored.dead_letter_kinds),
        "reads_handed_back": _handed_back(queue),
        "lost": lost_reads(session, queue, stored),
        "duplicates": stored and stored.duplicates,
        "conflicts_suppressed": session.conflicts_suppressed,
        "reads_repaid": stored and stored.reads_repaid,
        "possibly_billed": stored and stored.possibly_billed,
        "reads_possibly_repaid": stored and stored.reads_possibly_repaid,
        "possibly_billed_usd": stored and float(stored.possibly_billed_usd),
        "duration_s": round(session.duration_s, 3),
        "reads_per_s": stored and round((stored.rows - session.rows_before) / session.duration_s, 3),
        "requests": stored and stored.requests,
        "repairs": stored and stored.repairs,
        "http_429": stored and stored.http_429,
        "failures_by_kind": stored and dict(stored.failures),
        "truncated": stored and stored.truncated,
        "truncated_share": stored and _truncated_share(stored),
        "resent": stored and stored.resent,
        "resent_share": stored and (round(stored.resent / stored.requests, 4) if stored.requests else None),
        "reads_by_tier": stored and dict(stored.reads_by_tier),
        "utilisation": {name: round(share, 4) for name, share in session.utilisation.items()},
        "bottleneck": _bottleneck(session),
        "bottleneck_shares": _shares(session.bottlenecks),
        "tokens": stored and {"prompt": stored.prompt_tokens, "cached": stored.cached_tokens, "completion": stored.completion_tokens},
        "cost_usd": stored and float(stored.cost_usd),
        "usage_estimated": stored and stored.usage_estimated,
        "authorised_usd": None if session.authorised_usd is None else float(session.authorised_usd),
        "cost_per_1000_reads": stored and _per_1000(stored),
        "queue_capacity": session.queue_capacity,
        "max_queue_depth": queue.max_queue_depth if queue else 0,
        "max_redelivered": queue.max_redelivered if queue else 0,
        "max_leased": queue.max_leased if queue else 0,
        "max_held": queue.max_held if queue else 0,
        "blocked_seconds": round(queue.blocked_seconds, 3) if queue else 0.0,
        "peak_pss_mb": round(session.peak_pss_mb, 1),
        "latency_ms": stored and {name: stored.latency_ms.get(name) for name in ("p50", "p95", "p99")},
        "accuracy": session.accuracy,
        "accuracy_all_differences": session.accuracy_all_differences,
        "ceiling": session.ceiling,
        "agreement": session.agreement,
        "scoring": session.scoring,
        "truth_reads": stored and stored.truth_reads,
        "identifiable_reads": stored and stored.identifiable_reads,
        "resume_command": session.resume_command,
        "configuration": session.configuration,
        "history": session.history,
    }


def lost_reads(session: Session, queue: QueueStats | None, stored: RunCounts | None) -> int | None:
    """Reads without a trace: 0, or there is a defect. None when the database could not be asked.

    Complete run: requested − rows. Otherwise: admitted − (new rows + reads handed back).
    """
    if stored is None:
        return None
    if session.status is RunStatus.COMPLETE and session.requested is not None:
        return session.requested - stored.rows
    return (queue.admitted if queue else 0) - (stored.rows - session.rows_at_open + _handed_back(queue))


def _handed_back(queue: QueueStats | None) -> int:
    """Reads still waiting, returned or leased when the session ended."""
    return queue.waiting + queue.redelivered + queue.leased if queue else 0


def _truncated_share(stored: RunCounts) -> float | None:
    """Of the answers."""
    answers = stored.calls_by_state.get(CallState.ANSWERED.value, 0)
    return round(stored.truncated / answers, 4) if answers else None


def _ended(stored: RunCounts | None, ending: Disposition) -> int | None:
    return stored and stored.by_disposition.get(ending.value, 0)


def _bottleneck(session: Session) -> str | None:
    """What the run waited for most of the time, if it was for anything."""
    named = {name: looks for name, looks in session.bottlenecks.items() if name != "none"}
    return max(named, key=lambda name: named[name], default=None)


def _shares(looks: Mapping[str, int]) -> dict[str, float]:
    """The largest first."""
    total = sum(looks.values())
    return {name: round(count / total, 4) for name, count in sorted(looks.items(), key=lambda item: -item[1])}


def _per_1000(stored: RunCounts) -> float | None:
    analysed = stored.by_disposition.get(Disposition.STORED.value, 0)
    return round(float(stored.cost_usd) * 1000 / analysed, 6) if analysed else None
