"""What a model's confidence is worth: precision and recall along it, and how well it is calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

BINS = 10
"""Of the calibration table, equally wide."""


class Outcome(NamedTuple):
    """Calls of one confidence."""

    right: int
    wrong: int


def curve(by_confidence: Mapping[float, Outcome], truths: int) -> list[dict[str, float]]:
    """Precision and recall of the calls at or above each confidence, the highest first. Recall counts right calls against ``truths``,
    at most 1: a truth may be told in several calls.
    """
    points, right, wrong = [], 0, 0
    for confidence in sorted(by_confidence, reverse=True):
        right += by_confidence[confidence].right
        wrong += by_confidence[confidence].wrong
        if right + wrong:
            recall = min(1.0, right / truths) if truths else 0.0
            points.append({"confidence": confidence, "precision": right / (right + wrong), "recall": recall})
    return points


def average_precision(by_confidence: Mapping[float, Outcome], truths: int) -> float | None:
    """Precision weighted by the recall that each confidence adds; None without truth."""
    if not truths:
        return None
    area, before = 0.0, 0.0
    for point in curve(by_confidence, truths):
        area += point["precision"] * (point["recall"] - before)
        before = point["recall"]
    return area


def calibration(by_confidence: Mapping[float, Outcome]) -> dict[str, Any] | None:
    """Calls by tenths of confidence: mean confidence beside the share that was right; ``ece`` is the expected calibration error
    (Naeini, Cooper & Hauskrecht 2015, PMC4410090): their mean distance, weighted by calls, 0..1. None without calls.
    """
    calls, right, weight = [0] * BINS, [0] * BINS, [0.0] * BINS
    for confidence, outcome in by_confidence.items():
        index, count = min(int(confidence * BINS), BINS - 1), outcome.right + outcome.wrong
        calls[index] += count
        right[index] += outcome.right
        weight[index] += confidence * count
    total = sum(calls)
    if not total:
        return None
    rows = [
        {"from": index / BINS, "to": (index + 1) / BINS, "calls": calls[index], "confidence": weight[index] / calls[index],
         "right": right[index] / calls[index]}
        for index in range(BINS)
        if calls[index]
    ]  # fmt: skip
    return {"ece": sum(row["calls"] / total * abs(row["confidence"] - row["right"]) for row in rows), "bins": rows}
