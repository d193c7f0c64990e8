# ruff: noqa: UP013 (tables: related keys stand in one line)
"""Statistics of counts: intervals of proportions, two callers compared, and what a model's confidence is worth.

Proportions have Jeffreys intervals: the equal-tailed one of Beta(k + 1/2, n − k + 1/2), with the bound set to 0 at k = 0 and to 1 at
k = n, as Brown, Cai & DasGupta 2001 (doi:10.1214/ss/1009213286) recommend; hap.py and som.py report them too. SciPy is not worth its
100 MB for one function.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import NamedTuple, TypedDict

BINS = 10
"""Of the calibration table, equally wide."""

Point = TypedDict("Point", {"confidence": float, "precision": float, "recall": float})
Bin = TypedDict("Bin", {"from": float, "to": float, "calls": int, "confidence": float, "right": float})
Calibration = TypedDict("Calibration", {"ece": float, "bins": list[Bin]})

_TINY = 1e-300
_PRECISION = 1e-15
_MAX_TERMS = 100_000


def jeffreys(k: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """The interval for ``k`` successes in ``n`` trials (0 <= k <= n), which need not be whole numbers; (0, 1) when n is 0."""
    if not 0 <= k <= n:
        raise ValueError(f"{k} successes in {n} trials")
    tail = (1 - level) / 2
    low = 0.0 if k == 0 else beta_quantile(tail, k + 0.5, n - k + 0.5)
    high = 1.0 if k == n else 1.0 - beta_quantile(tail, n - k + 0.5, k + 0.5)  # by symmetry: small tails keep their digits
    return low, high


def beta_cdf(x: float, a: float, b: float) -> float:
    """I_x(a, b) for 0 <= x <= 1 and a, b > 0, by the continued fraction DLMF 8.17.22, summed by Lentz's method."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = math.exp(a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(1 - x, b, a) / b


def beta_quantile(p: float, a: float, b: float) -> float:
    """The x at which I_x(a, b) is p: Newton's steps, kept inside a bracket that every step narrows."""
    low, high, mean = 0.0, 1.0, a / (a + b)
    guess = mean + NormalDist().inv_cdf(p) * math.sqrt(mean * (1 - mean) / (a + b + 1))
    x = guess if 0 < guess < 1 else mean
    constant = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    for _ in range(200):
        error = beta_cdf(x, a, b) - p
        low, high = (low, x) if error > 0 else (x, high)
        slope = math.exp((a - 1) * math.log(x) + (b - 1) * math.log1p(-x) + constant)
        step = x - error / slope if slope > 0 else -1.0
        following = step if low < step < high else (low + high) / 2
        if abs(following - x) <= _PRECISION * x or following in (low, high):
            return following
        x = following
    return x


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, _away_from_zero(1 - (a + b) * x / (a + 1))
    d = 1 / d
    result = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / _away_from_zero(1 + even * d), _away_from_zero(1 + even / c)
        result *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _away_from_zero(1 + odd * d), _away_from_zero(1 + odd / c)
        result *= d * c
        if abs(d * c - 1) < _PRECISION:
            break
    return result


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def mcnemar(only_one: float, only_other: float) -> float:
    """The exact two-sided p of McNemar's test: the probability of a split at least this uneven if neither caller is better.

    ``only_one`` and ``only_other``: reads that one caller alone got right. 1 when there are none.
    """
    fewer, more = sorted((only_one, only_other))
    # the binomial tail as an incomplete beta function (DLMF 8.17.5)
    return min(1.0, 2 * beta_cdf(0.5, more, fewer + 1)) if more else 1.0


def matthews(tp: int, fp: int, fn: int, tn: int) -> float | None:
    """Matthews' correlation coefficient, -1..1; None when a row or column of the table is empty."""
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / math.sqrt(product) if product else None


class Outcome(NamedTuple):
    """Calls of one confidence; the right ones as the truths that they tell."""

    right: int
    wrong: int


def curve(by_confidence: Mapping[float, Outcome], truths: int) -> list[Point]:
    """Precision and recall of the calls at or above each confidence, the highest first. Right calls count as the truths that they tell."""
    points: list[Point] = []
    right = wrong = 0
    for confidence in sorted(by_confidence, reverse=True):
        right += by_confidence[confidence].right
        wrong += by_confidence[confidence].wrong
        if right + wrong:
            recall = right / truths if truths else 0.0
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


def calibration(by_confidence: Mapping[float, Outcome]) -> Calibration | None:
    """Calls by tenths of confidence: mean confidence and the share that was right; ``ece`` is the expected calibration error
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
    rows: list[Bin] = [
        {"from": index / BINS, "to": (index + 1) / BINS, "calls": calls[index], "confidence": weight[index] / calls[index],
         "right": right[index] / calls[index]}
        for index in range(BINS)
        if calls[index]
    ]  # fmt: skip
    return {"ece": sum(row["calls"] / total * abs(row["confidence"] - row["right"]) for row in rows), "bins": rows}
