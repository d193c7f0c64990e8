"""Precision, recall and F1, as hap.py defines them, of counts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

from helix_ray.scoring.statistics import jeffreys
from helix_ray.scoring.tally import Counts

ALL = "ALL"
"""The sum over all types."""


def total(counts: Mapping[str, Counts]) -> Counts:
    """The sum of the levels of one dimension."""
    return reduce(Counts.plus, counts.values(), Counts())


def summarise(counts: Mapping[str, Counts], f1_intervals: Mapping[str, tuple[float, float]] | None = None) -> dict[str, dict[str, Any]]:
    """Measures per level and for ``ALL``, as JSON values; ``f1_intervals`` per level and for ``ALL``, where they are known."""
    known = f1_intervals or {}
    return {level: measures(row, known.get(level)) for level, row in [*sorted(counts.items()), (ALL, total(counts))]}


def precision_of(counts: Counts) -> float | None:
    return _ratio(counts.query_tp, counts.query_tp + counts.fp)


def recall_of(counts: Counts) -> float | None:
    return _ratio(counts.tp, counts.tp + counts.fn)


def f1_of(counts: Counts) -> float | None:
    """2PR / (P + R); 0 without any call or without any truth, None without both."""
    precision, recall = precision_of(counts), recall_of(counts)
    if precision is None and recall is None:
        return None
    if not precision or not recall:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def measures(counts: Counts, f1_interval: tuple[float, float] | None = None) -> dict[str, Any]:
    """All counts and the measures of them, with 95 % Jeffreys intervals; a measure without a denominator is None.

    ``excluding_failed``: without the reads that got no answer. Precision is the same there.
    """
    truths, answered = counts.tp + counts.fn, counts.tp + counts.fn - counts.fn_failed
    calls = counts.query_tp + counts.fp
    without = counts._replace(fn=counts.fn - counts.fn_failed, fn_failed=0)
    return {
        **counts._asdict(),
        "precision": precision_of(counts),
        "recall": recall_of(counts),
        "f1": f1_of(counts),
        "ci": {
            "precision": _interval(counts.query_tp, calls),
            "recall": _interval(counts.tp, truths),
            "f1": list(f1_interval) if f1_interval else None,
        },
        "excluding_failed": {"recall": recall_of(without), "f1": f1_of(without), "ci": {"recall": _interval(counts.tp, answered)}},
    }


def rate(count: int, of: int) -> dict[str, Any]:
    """A proportion with its 95 % Jeffreys interval."""
    return {"count": count, "of": of, "rate": _ratio(count, of), "ci": _interval(count, of)}


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _interval(part: int, whole: int) -> list[float] | None:
    return list(jeffreys(part, whole)) if whole else None
