"""Finished reads for people to look at: bounded, and bases are letters of ACGTN or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from helix_ray.records import ReadResult, ScoredVariant

SHOWN_CALLS = 5
SHOWN_ALLELE = 12
SHOWN_MARKS = 8
SHOWN_BASES = 400
COUNTED = (("truth", "TP"), ("call", "FP"), ("truth", "FN"))  # a true positive has a row on both sides, the baseline its own


@dataclass(frozen=True, slots=True)
class Mark:
    """One difference from the reference window, in VCF form. Alleles of more than twelve letters are cut, with an ellipsis."""

    pos: int  # 1-based in the window: ``ref_seq[pos - 1]`` is the first letter of ``ref``
    ref: str
    alt: str
    type: str | None  # SNV MNV INS DEL DELINS; None: the alleles are no variant
    kind: str  # found | missed (a truth without its call) | invented (a false call) | unscored (a call without a known truth)


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
    cost_usd: float | None = None
    error_kind: str | None = None
    finished_at: float | None = None  # Unix seconds
    ref_start: int | None = None  # 0-based, of the window in its contig
    ref_seq: str | None = None  # the window: letters of ACGTN, at most 400; None: it has others, or more
    seq: str | None = None  # the read, on the window's strand; as ``ref_seq``
    marks: tuple[Mark, ...] = ()  # by position, at most eight

    @classmethod
    def from_result(cls, result: ReadResult) -> RecentRead:
        return cls(
            read_index=result.read.read_index,
            read_id=result.read.read_id,
            disposition=result.disposition.value,
            mutation_detected=result.mutation_detected,
            calls=calls_of(result.variants),
            verdict=verdict_of(result.variants),
            latency_ms=result.latency_ms,
            cost_usd=float(result.cost_usd),
            error_kind=result.error_kind,
            finished_at=result.finished_at.timestamp() if result.finished_at else None,
            ref_start=result.read.ref_start,
            ref_seq=shown_bases(result.read.ref_seq),
            seq=shown_bases(result.read.seq),
            marks=marks_of(result.variants),
        )


def calls_of(variants: Iterable[ScoredVariant]) -> tuple[str, ...]:
    """``pos ref>alt type``, and how many more there are."""
    calls = [item for item in variants if item.side == "call"]
    shown = [f"{item.pos} {_short(item.ref)}>{_short(item.alt)} {item.type or 'invalid'}" for item in calls[:SHOWN_CALLS]]
    return (*shown, f"and {len(calls) - SHOWN_CALLS} more") if len(calls) > SHOWN_CALLS else tuple(shown)


def verdict_of(variants: Iterable[ScoredVariant]) -> str | None:
    """``2 TP, 1 FN``; None without truth."""
    matches = Counter(item.match for item in variants if (item.side, item.match) in COUNTED)
    return ", ".join(f"{matches[name]} {name}" for name in ("TP", "FP", "FN") if matches[name]) or None


def shown_bases(sequence: str | None) -> str | None:
    """In upper case, if that is all bases and of a length that a person looks at; else None."""
    text = (sequence or "").upper()
    return text if 0 < len(text) <= SHOWN_BASES and not text.strip("ACGTN") else None


def marks_of(variants: Iterable[ScoredVariant]) -> tuple[Mark, ...]:
    """The calls, and the truths that no call tells."""
    kinds = {"TP": "found", "FP": "invented", None: "unscored"}
    marks = [
        Mark(it.pos, _short(it.ref), _short(it.alt), it.type, "missed" if it.side == "truth" else kinds[it.match])
        for it in variants
        if (it.side == "call" and it.match in kinds) or (it.side, it.match) == ("truth", "FN")
    ]
    return tuple(sorted(marks, key=lambda mark: mark.pos)[:SHOWN_MARKS])


def _short(allele: str) -> str:
    return allele if len(allele) <= SHOWN_ALLELE else f"{allele[: SHOWN_ALLELE - 1]}…"
