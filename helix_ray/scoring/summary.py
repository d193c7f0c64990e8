# ruff: noqa: UP013 (tables: related keys stand in one line)
"""Precision, recall and F1, as hap.py defines them, of counts; and their keys in the report."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Generic, TypedDict, TypeVar

from helix_ray.scoring.statistics import jeffreys
from helix_ray.scoring.tally import Counts

ALL = "ALL"
"""The sum over all types."""

Called = TypeVar("Called")
Number = float | None
Interval = list[float] | None  # low and high end, 95 %

Intervals = TypedDict("Intervals", {"precision": Interval, "recall": Interval, "f1": Interval})
RecallInterval = TypedDict("RecallInterval", {"recall": Interval})
WithoutFailed = TypedDict("WithoutFailed", {"recall": Number, "f1": Number, "ci": RecallInterval})
Rate = TypedDict("Rate", {"count": int, "of": int, "rate": Number, "ci": Interval})


class Measures(TypedDict, Generic[Called]):
    """`Counts` and what follows from them. ``Called``: int, or int | None where only truths have the dimension."""

    tp: int
    fn: int
    fn_allele: int
    fn_near: int
    fn_failed: int
    query_tp: Called
    fp: Called
    fp_error: Called
    fp_allele: Called
    fp_near: Called
    fp_invalid: Called
    precision: Number
    recall: Number
    f1: Number
    ci: Intervals
    excluding_failed: WithoutFailed


def total(counts: Mapping[str, Counts]) -> Counts:
    """The sum of the levels of one dimension."""
    return reduce(Counts.plus, counts.values(), Counts())


def summarise(counts: Mapping[str, Counts], f1_intervals: Mapping[str, tuple[float, float]] | None = None) -> dict[str, Measures[int]]:
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


def measures(counts: Counts, f1_interval: tuple[float, float] | None = None) -> Measures[int]:
    """All counts and the measures of them, with 95 % Jeffreys intervals; a measure without a denominator is None.

    ``excluding_failed``: without the reads that got no answer. Precision is the same there.
    """
    truths, answered = counts.tp + counts.fn, counts.tp + counts.fn - counts.fn_failed
    calls = counts.query_tp + counts.fp
    without = counts._replace(fn=counts.fn - counts.fn_failed, fn_failed=0)
    return {
        "tp": counts.tp, "fn": counts.fn, "fn_allele": counts.fn_allele, "fn_near": counts.fn_near, "fn_failed": counts.fn_failed,
        "query_tp": counts.query_tp, "fp": counts.fp, "fp_error": counts.fp_error, "fp_allele": counts.fp_allele,
        "fp_near": counts.fp_near, "fp_invalid": counts.fp_invalid,
        "precision": precision_of(counts),
        "recall": recall_of(counts),
        "f1": f1_of(counts),
        "ci": {
            "precision": _interval(counts.query_tp, calls),
            "recall": _interval(counts.tp, truths),
            "f1": list(f1_interval) if f1_interval else None,
        },
        "excluding_failed": {"recall": recall_of(without), "f1": f1_of(without), "ci": {"recall": _interval(counts.tp, answered)}},
    }  # fmt: skip


def rate(count: int, of: int) -> Rate:
    """A proportion with its 95 % Jeffreys interval."""
    return {"count": count, "of": of, "rate": _ratio(count, of), "ci": _interval(count, of)}


def _ratio(part: int, whole: int) -> Number:
    return part / whole if whole else None


def _interval(part: int, whole: int) -> Interval:
    return list(jeffreys(part, whole)) if whole else None
