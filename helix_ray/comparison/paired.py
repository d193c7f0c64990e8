"""Paired statistics of two callers on the same reads.

Every measure is a ratio Σ part / Σ whole over reads: exact (1 or 0, 1), recall (TP, TP + FN), precision (TP, TP + FP) and
F1 (2 TP, 2 TP + FN + FP). A read moves the ratio R by (part - R·whole) / Σ whole, and the difference of two runs by the difference of
that, so the variance of the difference is m/(m-1)·Σ over clusters of the squared sum (Miller 2024, arXiv 2411.00640). Where requests hold
several reads both runs have clusters of their own, and V = V_A + V_B - V_AB (Cameron, Gelbach & Miller 2011, doi:10.1198/jbes.2010.07136).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from helix_ray.scoring.clusters import FEW, critical
from helix_ray.scoring.statistics import beta_cdf, beta_quantile, mcnemar

RESAMPLES = 10_000
MAX_PATTERNS = 2_000
"""Kinds of clusters above which the bootstrap is left out: there are so many clusters then that the normal distribution holds."""
SEED = 1

Array = NDArray[Any]
Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Clusters:
    """Codes of the requests that answered each read, 0 and up, in either run and in both at once. None: each read stands for itself."""

    codes: tuple[Array, Array, Array] | None = None

    @classmethod
    def of(cls, first: Array | None, second: Array | None) -> Clusters:
        """``first`` and ``second``: the requests' codes of either run; None: one read a request."""
        if first is None and second is None:
            return cls()
        one = np.arange(len(second)) if first is None and second is not None else first
        other = np.arange(len(first)) if second is None and first is not None else second
        assert one is not None
        assert other is not None
        both = np.unique(one.astype(np.int64) * (int(other.max(initial=0)) + 1) + other, return_inverse=True)[1]
        return cls((one, other, both))

    def variance(self, moves: Array, counted: Array) -> tuple[float, int]:
        """Of the sum of ``moves``, and the clusters (of the run that has fewer) among the reads that are ``counted``."""
        if self.codes is None:
            return _sum_variance(moves[counted])
        parts = [_by_cluster(codes[counted], moves[counted]) for codes in self.codes]
        (one, few), (other, less), (both, _) = (_sum_variance(part) for part in parts)
        return max(one + other - both, one if less > few else other, 0.0), min(few, less)

    def coarser(self, moves: Array) -> Array | None:
        """The codes of the run whose requests explain more of the variance."""
        if self.codes is None:
            return None
        return max(self.codes[:2], key=lambda codes: float((_by_cluster(codes, moves) ** 2).sum()))


def _by_cluster(codes: Array, values: Array) -> Array:
    """The sum of each cluster that is there."""
    there = np.bincount(codes) > 0
    return np.bincount(codes, values)[there]


def _sum_variance(sums: Array) -> tuple[float, int]:
    clusters = len(sums)
    return (float((sums**2).sum()) * clusters / (clusters - 1) if clusters > 1 else math.inf), clusters


class Ratio(NamedTuple):
    """One measure of one run: a part and a whole for each read."""

    part: Array
    whole: Array

    @property
    def value(self) -> float | None:
        whole = float(self.whole.sum())
        return float(self.part.sum()) / whole if whole else None

    def moves(self) -> Array:
        """How far each read moves the ratio."""
        whole = float(self.whole.sum())
        return (self.part - float(self.part.sum()) / whole * self.whole) / whole


class Difference(NamedTuple):
    """The second run's measure minus the first's."""

    first: float
    second: float
    error: float  # standard error
    clusters: int
    effect: float  # design effect: its variance over that of reads that stand for themselves

    @property
    def value(self) -> float:
        return self.second - self.first

    def interval(self, level: float = 0.95) -> Bounds:
        reach = critical(self.clusters, level) * self.error
        return self.value - reach, self.value + reach

    @property
    def p(self) -> float:
        """Two-sided, by the normal distribution or, of fewer than 40 clusters, Student's t."""
        if not self.error:
            return 1.0 if not self.value else 0.0
        return two_sided(abs(self.value) / self.error, self.clusters)


def two_sided(z: float, clusters: int) -> float:
    if math.isnan(z) or math.isinf(z):
        return 0.0 if z > 0 else 1.0
    if not 1 < clusters < FEW:
        return 2 * NormalDist().cdf(-z)
    freedom = clusters - 1
    return beta_cdf(freedom / (freedom + z * z), freedom / 2, 0.5)  # DLMF 8.17.7


def difference(first: Ratio, second: Ratio, clusters: Clusters) -> Difference | None:
    """None where one of them has no value."""
    before, after = first.value, second.value
    if before is None or after is None:
        return None
    moves, counted = second.moves() - first.moves(), (first.whole != 0) | (second.whole != 0)
    variance, number = clusters.variance(moves, counted)
    alone = _sum_variance(moves[counted])[0]
    return Difference(before, after, math.sqrt(variance), number, variance / alone if 0 < alone < math.inf else 1.0)


def widening(clusters: int) -> float:
    """By what few clusters multiply a variance."""
    return (critical(clusters) / critical(FEW)) ** 2


class Discordant(NamedTuple):
    """Reads that one run alone has right."""

    gained: int  # right in the second run only
    lost: int  # right in the first run only
    reads: int
    effect: float = 1.0  # design effect: by so much fewer draws there are

    @property
    def value(self) -> float:
        return (self.gained - self.lost) / self.reads

    @property
    def p(self) -> float:
        """McNemar's exact test."""
        return mcnemar(*self._draws)

    @property
    def mid_p(self) -> float:
        """McNemar's mid-p (Fagerland, Lydersen & Laake 2013, doi:10.1186/1471-2288-13-91): less conservative."""
        gained, lost = self._draws
        both, fewer = gained + lost, min(gained, lost)
        if not both:
            return 1.0
        point = math.exp(math.lgamma(both + 1) - math.lgamma(gained + 1) - math.lgamma(lost + 1) - both * math.log(2))
        tail = beta_cdf(0.5, both - fewer, fewer + 1)
        return min(1.0, 2 * tail - point)

    def interval(self, level: float = 0.95) -> Bounds:
        gained, lost = self._draws
        return tango(gained, lost, self.reads / self.effect, level)

    def odds_ratio(self, level: float = 0.95) -> tuple[float | None, tuple[float, float | None]]:
        """Gained over lost with its exact interval, that of the binomial share (Clopper & Pearson); None: without end."""
        gained, lost = self._draws
        tail = (1 - level) / 2
        low = beta_quantile(tail, gained, lost + 1) if gained else 0.0
        high = 1 - beta_quantile(tail, lost, gained + 1) if lost else 1.0
        return (gained / lost if lost else None), (low / (1 - low), high / (1 - high) if high < 1 else None)

    @property
    def _draws(self) -> tuple[float, float]:
        return self.gained / self.effect, self.lost / self.effect


def tango(gained: float, lost: float, reads: float, level: float = 0.95) -> Bounds:
    """The score interval of a difference of paired proportions (Tango 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<891)."""
    z = NormalDist().inv_cdf((1 + level) / 2)

    def excess(delta: float, sign: int) -> float:
        a, c = 2 * reads, -lost * delta * (1 - delta)
        b = -gained - lost + (2 * reads - gained + lost) * delta
        share = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
        spread = reads * max(0.0, 2 * share + delta * (1 - delta))
        return gained - lost - reads * delta - sign * z * math.sqrt(spread)

    def root(low: float, high: float, sign: int) -> float:
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if excess(middle, sign) > 0 else (low, middle)
        return (low + high) / 2

    seen = (gained - lost) / reads
    return root(-1.0, seen, 1), root(seen, 1.0, -1)


class Resampled(NamedTuple):
    """The paired bootstrap of a difference: its sorted resamples, whole clusters drawn with all their reads in both runs."""

    value: float
    resamples: Array

    def interval(self, level: float = 0.95) -> Bounds:
        low, high = np.quantile(self.resamples, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    @property
    def p(self) -> float:
        """The two-sided achieved level: twice the share of resamples beyond 0."""
        beyond = min(int((self.resamples <= 0).sum()), int((self.resamples >= 0).sum()))
        return min(1.0, 2 * (beyond + 1) / (len(self.resamples) + 1))


def bootstrap(first: Ratio, second: Ratio, clusters: Clusters) -> Resampled | None:
    """None where a measure has no value, or with more than `MAX_PATTERNS` kinds of clusters. Deterministic.

    Clusters that came out alike are equal, so that a resample is one multinomial draw over the kinds. Where both runs packed reads, the
    clusters are those of one run, and the resamples are spread by what the other adds to the variance.
    """
    linear = difference(first, second, clusters)
    if linear is None:
        return None
    moves = second.moves() - first.moves()
    codes = clusters.coarser(moves)
    sums = [column if codes is None else _by_cluster(codes, column) for column in (*first, *second)]
    base = int(max(column.max() for column in sums)) + 1
    if base**4 >= 2**62:
        return None
    key = np.zeros(len(sums[0]), dtype=np.int64)
    for column in sums:
        key = key * base + column.astype(np.int64)
    kinds, times = np.unique(key, return_counts=True)
    if len(kinds) > MAX_PATTERNS:
        return None
    rows = np.stack([kinds // base**place % base for place in (3, 2, 1, 0)], axis=1)
    drawing, number, found = np.random.default_rng(SEED), int(times.sum()), []
    for _ in range(0, RESAMPLES, RESAMPLES // 10):
        part_1, whole_1, part_2, whole_2 = (drawing.multinomial(number, times / number, size=RESAMPLES // 10) @ rows).T
        found.append(part_2 / np.maximum(whole_2, 1) - part_1 / np.maximum(whole_1, 1))
    drawn = np.sort(np.concatenate(found))
    if codes is not None:
        one_way = _sum_variance(_by_cluster(codes, moves))[0]
        drawn = linear.value + (drawn - linear.value) * (linear.error / math.sqrt(one_way) if one_way else 1.0)
    drawn = linear.value + (drawn - linear.value) * math.sqrt(widening(linear.clusters))
    return Resampled(linear.value, drawn)
