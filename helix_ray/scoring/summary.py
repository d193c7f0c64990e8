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


class TypeCounts:
    """TP, FP and FN per variant type."""

    __slots__ = ("_counts",)

    def __init__(self, counts: Mapping[str, Counts] | None = None) -> None:
        self._counts: dict[str, list[int]] = {kind: list(row) for kind, row in (counts or {}).items()}

    def add(self, rows: Iterable[ScoredVariant]) -> None:
        """Counts the truths of these rows as TP or FN and their calls as FP; rows without a match count nothing."""
        for row in rows:
            if row.match is None:
                continue
            column = 0 if row.match == "TP" else 1 if row.match == "FP" else 2
            if column == 0 and row.side != "truth":
                continue
            kind = row.type or NOT_A_VARIANT
            counts = self._counts.get(kind)
            if counts is None:
                counts = self._counts[kind] = [0, 0, 0]
            counts[column] += 1

    def merge(self, other: TypeCounts) -> None:
        for kind, row in other._counts.items():
            mine = self._counts.setdefault(kind, [0, 0, 0])
            for column, count in enumerate(row):
                mine[column] += count

    def as_dict(self) -> dict[str, Counts]:
        return {kind: (tp, fp, fn) for kind, (tp, fp, fn) in self._counts.items()}


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
