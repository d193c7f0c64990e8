"""Counts of TP, FP and FN by variant type, and what follows from them.

Counts are additive: workers, batches and runs merge by adding. A true positive is counted once, on the truth side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from helix_ray.records import ScoredVariant
from helix_ray.scoring.intervals import jeffreys

NOT_A_VARIANT = "INVALID"
"""The type under which a call is counted whose alleles are not a variant."""

ALL = "ALL"
"""The sum over all types."""

Counts = tuple[int, int, int]
"""(true positives, false positives, false negatives)."""

# What a row of one side and match adds to them.
_MODEL: Mapping[tuple[str, str | None], Counts] = {("truth", "TP"): (1, 0, 0), ("call", "FP"): (0, 1, 0), ("truth", "FN"): (0, 0, 1)}
_BASELINE: Mapping[tuple[str, str | None], Counts] = {
    ("truth", "TP"): (0, 0, 1),  # by the model; the baseline's own row takes it back
    ("truth", "FN"): (0, 0, 1),
    ("baseline", "TP"): (1, 0, -1),
    ("baseline", "FP"): (0, 1, 0),
}


class TypeCounts:
    """TP, FP and FN per variant type."""

    __slots__ = ("_counts",)

    def __init__(self, counts: Mapping[str, Counts] | None = None) -> None:
        self._counts: dict[str, Counts] = dict(counts or {})

    def add(self, rows: Iterable[ScoredVariant]) -> None:
        """Counts the truths of these rows as TP or FN and the model's calls as FP; rows without a match count nothing."""
        self._add(rows, _MODEL)

    def add_baseline(self, rows: Iterable[ScoredVariant]) -> None:
        """Counts the aligner's calls as TP or FP, and as FN every truth that none of them equals, whatever the model made of it."""
        self._add(rows, _BASELINE)

    def _add(self, rows: Iterable[ScoredVariant], weights: Mapping[tuple[str, str | None], Counts]) -> None:
        for row in rows:
            weight = weights.get((row.side, row.match))
            if weight is not None:
                kind = row.type or NOT_A_VARIANT
                tp, fp, fn = self._counts.get(kind, (0, 0, 0))
                self._counts[kind] = (tp + weight[0], fp + weight[1], fn + weight[2])

    def merge(self, other: TypeCounts) -> None:
        for kind, row in other._counts.items():
            tp, fp, fn = self._counts.get(kind, (0, 0, 0))
            self._counts[kind] = (tp + row[0], fp + row[1], fn + row[2])

    def as_dict(self) -> dict[str, Counts]:
        return dict(self._counts)


def summarise(counts: Mapping[str, Counts]) -> dict[str, dict[str, Any]]:
    """Precision, recall, F1 and 95 % Jeffreys intervals per type and for ``ALL``, as JSON values.

    A measure without a denominator (no call, no truth) is None, and so is its interval.
    """
    total = (sum(row[0] for row in counts.values()), sum(row[1] for row in counts.values()), sum(row[2] for row in counts.values()))
    return {kind: _measures(*row) for kind, row in [*sorted(counts.items()), (ALL, total)]}


def _measures(tp: int, fp: int, fn: int) -> dict[str, Any]:
    precision = tp / (tp + fp) if tp + fp else None
    recall = tp / (tp + fn) if tp + fn else None
    return {
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "precision": precision,
        "recall": recall,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None,  # = 2PR / (P + R), and defined where P + R is 0
        "ci": {
            "precision": list(jeffreys(tp, tp + fp)) if tp + fp else None,
            "recall": list(jeffreys(tp, tp + fn)) if tp + fn else None,
        },
    }
