"""The reads that the page lists: short, plain, and safe to show as text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from helix_ray.records import ReadResult

SHOWN_CALLS = 5
SHOWN_ALLELE = 12
COUNTED = (("truth", "TP"), ("call", "FP"), ("truth", "FN"))  # a true positive has a row on both sides, the baseline its own


@dataclass(frozen=True, slots=True)
class RecentRead:
    """One finished read. ``calls`` are differences from the reference window, ``pos ref>alt type``, at most five."""

    read_index: int
    read_id: str
    disposition: str
    mutation_detected: bool | None
    calls: tuple[str, ...] = ()
    verdict: str | None = None  # "2 TP, 1 FN"; None without truth
    latency_ms: float | None = None
    cost_usd: float = 0.0
    error_kind: str | None = None
    finished_at: float | None = None  # Unix seconds

    @classmethod
    def from_result(cls, result: ReadResult) -> RecentRead:
        calls = [item for item in result.variants if item.side == "call"]
        shown = [f"{item.pos} {_short(item.ref)}>{_short(item.alt)} {item.type or 'invalid'}" for item in calls[:SHOWN_CALLS]]
        if len(calls) > SHOWN_CALLS:
            shown.append(f"and {len(calls) - SHOWN_CALLS} more")
        matches = Counter(item.match for item in result.variants if (item.side, item.match) in COUNTED)
        return cls(
            read_index=result.read.read_index,
            read_id=result.read.read_id,
            disposition=result.disposition.value,
            mutation_detected=result.mutation_detected,
            calls=tuple(shown),
            verdict=", ".join(f"{matches[name]} {name}" for name in ("TP", "FP", "FN") if matches[name]) or None,
            latency_ms=result.latency_ms,
            cost_usd=float(result.cost_usd),
            error_kind=result.error_kind,
            finished_at=result.finished_at.timestamp() if result.finished_at else None,
        )


def _short(allele: str) -> str:
    return allele if len(allele) <= SHOWN_ALLELE else f"{allele[: SHOWN_ALLELE - 1]}…"
