"""What a session, the queue and the database say of a finished run of 100 reads."""

from decimal import Decimal

from helix_ray.queueing.messages import QueueStats
from helix_ray.records import RunStatus
from helix_ray.results.report import Session
from helix_ray.storage.ledger import RunCounts


def session(**changes: object) -> Session:
    values: dict[str, object] = {
        "run_id": "r1",
        "status": RunStatus.COMPLETE,
        "reason": "every read has its row",
        "backend": "emulator",
        "simulated": True,
        "requested": 100,
        "rows_before": 0,
        "rows_at_open": 0,
        "duration_s": 10.0,
        "peak_pss_mb": 512.3,
        "queue_capacity": 500,
        "conflicts_suppressed": 0,
    }
    return Session(**{**values, **changes})  # type: ignore[arg-type]


def admission(admitted: int = 100, handed_back: int = 0) -> QueueStats:
    """``handed_back``: still waiting, returned or leased at the end, a third each."""
    third = handed_back // 3
    return QueueStats(
        incarnation="e1",
        waiting=handed_back - 2 * third,
        redelivered=third,
        leased=third,
        admitted=admitted,
        acked=0,
        nacked=0,
        expired=0,
        blocked_now=0,
        blocked_puts=0,
        blocked_seconds=1.5,
        max_queue_depth=100,
        max_redelivered=0,
        max_leased=64,
        max_held=100,
        capacity=500,
        input_closed=True,
        producers_finished=1,
        total_reads=None,
        gate_closed=False,
    )


def stored(rows: int = 100, **disposition: int) -> RunCounts:
    return RunCounts(
        rows=rows,
        by_disposition=disposition or {"stored": rows},
        dead_letter_kinds={"refused": disposition["dead_letter"]} if disposition.get("dead_letter") else {},
        duplicates=0,
        reads_repaid=0,
        repairs=1,
        possibly_billed=0,
        requests=rows,
        calls_by_state={},
        http_429=2,
        prompt_tokens=1000,
        cached_tokens=0,
        completion_tokens=200,
        cost_usd=Decimal("0.0125"),
        answered_ms=0.0,
        latency_ms={"p50": 10.0, "p95": 20.0, "p99": None},
        truth_reads=rows,
        identifiable_reads=rows * 9 // 10,
    )
