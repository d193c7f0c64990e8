"""What a session, the queue and the database say of a finished run of 100 reads."""

from __future__ import annotations

from decimal import Decimal

from helix_ray.records import RunStatus
from helix_ray.results.report import Admission, Session, Stored


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


def admission(admitted: int = 100, handed_back: int = 0) -> Admission:
    return Admission(admitted, handed_back, 100, 0, 64, 100, 1.5)


def stored(rows: int = 100, **disposition: int) -> Stored:
    return Stored(
        rows=rows,
        by_disposition=disposition or {"stored": rows},
        dead_letter_kinds={"refused": disposition["dead_letter"]} if disposition.get("dead_letter") else {},
        duplicates=0,
        reads_repaid=0,
        repairs=1,
        possibly_billed=0,
        requests=rows,
        http_429=2,
        prompt_tokens=1000,
        cached_tokens=0,
        completion_tokens=200,
        cost_usd=Decimal("0.0125"),
        latency_ms={"p50": 10.0, "p95": 20.0, "p99": None},
        truth_reads=rows,
        identifiable_reads=rows * 9 // 10,
    )
