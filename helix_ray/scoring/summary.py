# ruff: noqa: UP013 (tables: related keys stand in one line)
"""Precision, recall and F1, as hap.py defines them, of counts; and their keys in the report."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Generic, TypedDict, TypeVar

from helix_ray.scoring.clusters import INDEPENDENT, Spread, Spreads, f1_interval, interval
from helix_ray.scoring.tally import Counts

ALL = "ALL"
"""The sum over all types."""

ALONE = Spreads()
"""Of truths and calls that come one by one."""

Called = TypeVar("Called")
Number = float | None
Interval = list[float] | None  # low and high end, 95 %

Intervals = TypedDict("Intervals", {"precision": Interval, "recall": Interval, "f1": Interval})
WithoutFailed = TypedDict("WithoutFailed", {"precision": Number, "recall": Number, "f1": Number, "ci": Intervals})
Effects = TypedDict("Effects", {"precision": float, "recall": float, "f1": float})
Rate = TypedDict("Rate", {"count": int, "of": int, "rate": Number, "ci": Interval})


class Measures(TypedDict, Generic[Called]):
    """`Counts` and what follows from them. ``Called``: int, or int | None where only truths have the dimension."""

    tp: int
    fn: int
    fn_allele: int
    fn_near: int
    fn_failed: int
    query_tp: Called  # as tp: right calls count as the truths that they tell
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
    design_effect: Effects | None  # by which the variances are larger than those of independent draws; None: taken as independent
    clusters: int | None  # with truths or calls; below 40, t with one degree of freedom less widens the intervals


def total(counts: Mapping[str, Counts]) -> Counts:
    """The sum of the levels of one dimension."""
    return reduce(Counts.plus, counts.values(), Counts())


def summarise(counts: Mapping[str, Counts], known: Mapping[str, Spreads] | None = None) -> dict[str, Measures[int]]:
    """Measures per level and for ``ALL``, as JSON values; ``known``: the spreads of levels and of ``ALL``, of clustered reads."""
    spreads = known or {}
    return {level: measures(row, spreads.get(level, ALONE)) for level, row in [*sorted(counts.items()), (ALL, total(counts))]}


def precision_of(counts: Counts) -> float | None:
    return _ratio(counts.tp, counts.tp + counts.fp)


def recall_of(counts: Counts) -> float | None:
    return _ratio(counts.tp, counts.tp + counts.fn)


def f1_of(counts: Counts) -> float | None:
    """2PR / (P + R); None where one of them is: without any call, or without any truth."""
    if precision_of(counts) is None or recall_of(counts) is None:
        return None
    return 2 * counts.tp / (2 * counts.tp + counts.fn + counts.fp)


def measures(counts: Counts, spreads: Spreads = ALONE) -> Measures[int]:
    """All counts and the measures of them, with 95 % intervals; a measure without a denominator is None.

    ``excluding_failed``: without the reads that got no answer. Precision is the same there.
    """
    without = counts._replace(fn=counts.fn - counts.fn_failed, fn_failed=0)
    known = None if spreads.f1.clusters is None else spreads
    return {
        "tp": counts.tp, "fn": counts.fn, "fn_allele": counts.fn_allele, "fn_near": counts.fn_near, "fn_failed": counts.fn_failed,
        "query_tp": counts.tp, "fp": counts.fp, "fp_error": counts.fp_error, "fp_allele": counts.fp_allele,
        "fp_near": counts.fp_near, "fp_invalid": counts.fp_invalid,
        **_shares(counts, spreads.recall, spreads.precision, spreads.f1),
        "excluding_failed": _shares(without, spreads.recall_answered, spreads.precision, spreads.f1_answered),
        "design_effect": known and {"precision": known.precision.effect, "recall": known.recall.effect, "f1": known.f1.effect},
        "clusters": known and known.f1.clusters,
    }  # fmt: skip


def _shares(counts: Counts, recall: Spread, precision: Spread, f1: Spread) -> WithoutFailed:
    found = f1_of(counts)
    return {
        "precision": precision_of(counts),
        "recall": recall_of(counts),
        "f1": found,
        "ci": {
            "precision": _listed(interval(counts.tp, counts.tp + counts.fp, precision)),
            "recall": _listed(interval(counts.tp, counts.tp + counts.fn, recall)),
            "f1": None if found is None else _listed(f1_interval(counts.tp, counts.fn + counts.fp, f1)),
        },
    }


def rate(count: int, of: int, spread: Spread = INDEPENDENT) -> Rate:
    """A proportion with its 95 % interval."""
    return {"count": count, "of": of, "rate": _ratio(count, of), "ci": _listed(interval(count, of, spread))}


def _ratio(part: int, whole: int) -> Number:
    return part / whole if whole else None


def _listed(bounds: tuple[float, float] | None) -> Interval:
    return None if bounds is None else list(bounds)
