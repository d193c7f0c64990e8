"""Intervals of what comes in clusters: variants of one read stand or fall together, and so do reads of one request.

A proportion p = Σ parts / Σ wholes over m clusters has the variance m/(m-1)·Σ(part - p·whole)² / (Σ whole)², the linearised one of a
ratio (Miller 2024, arXiv 2411.00640, has it for evaluations of models). The *design effect* is that variance over the p(1 - p)/n of n
independent draws. The interval is Jeffreys' for n / design effect draws, which holds near 0 and 1 too (Franco et al. 2019,
doi:10.1093/jssam/smy019); below `FEW` clusters Student's t widens it, as Korn & Graubard 1998 do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

from helix_ray.scoring.statistics import beta_quantile, jeffreys

FEW = 40
"""Clusters below which a variance is too uncertain for the normal distribution, and t with m - 1 degrees of freedom stands in."""

Cluster = tuple[float, float, int]
"""(part, whole, how many clusters came to that); a part is at most its whole."""


class Profile(NamedTuple):
    """The result of a cluster: its truths, found and missed, and its false calls."""

    tp: int = 0
    fn: int = 0
    fp: int = 0
    fn_failed: int = 0  # of fn: their reads got no answer


class ReadProfile(NamedTuple):
    """The reads of a cluster."""

    reads: int
    answered: int
    exact: int
    described: int  # its calls give the read, sequencing errors included


class Spread(NamedTuple):
    """How much wider an interval is than that of independent draws; never narrower."""

    effect: float = 1.0  # the design effect, at least 1
    divisor: float = 1.0  # of the draws: the effect, and what few clusters add to it
    clusters: int | None = None  # with anything to count; None: taken as independent


INDEPENDENT = Spread()


def critical(clusters: int, level: float = 0.95) -> float:
    """How many standard errors the interval reaches to either side."""
    return t_quantile((1 + level) / 2, clusters - 1) if 1 < clusters < FEW else NormalDist().inv_cdf((1 + level) / 2)


def sum_variance(residuals: Iterable[tuple[float, int]]) -> float:
    """The variance of a sum over clusters: of residuals, whose mean is 0, and how many clusters have each. Infinite of one cluster."""
    rows = list(residuals)
    clusters = sum(times for _, times in rows)
    return sum(times * residual**2 for residual, times in rows) * clusters / (clusters - 1) if clusters > 1 else math.inf


def spread(clusters: Iterable[Cluster], level: float = 0.95) -> Spread:
    """Of the proportion Σ part / Σ whole. Where all or none is right nothing tells how mistakes come: then clusters count as one draw
    each, by their mean size (Kish), as they do where there is only one.
    """
    rows = [row for row in clusters if row[1]]
    number = sum(times for *_, times in rows)
    part, whole = (sum(row[side] * row[2] for row in rows) for side in (0, 1))
    if not number:
        return Spread(clusters=0)
    share = part / whole
    if number == 1 or not 0 < part < whole:
        effect = max(1.0, sum(size * size * times for _, size, times in rows) / whole)
        return Spread(effect, effect, number)
    variance = sum_variance((hit - share * size, times) for hit, size, times in rows)
    effect = variance / (whole * share * (1 - share))
    few = (critical(number, level) / critical(FEW, level)) ** 2
    return Spread(max(1.0, effect), max(1.0, effect * few), number)


def interval(part: float, whole: float, spread: Spread = INDEPENDENT, level: float = 0.95) -> tuple[float, float] | None:
    """Of the proportion part / whole; None without a whole."""
    return jeffreys(part / spread.divisor, whole / spread.divisor, level) if whole else None


class Spreads(NamedTuple):
    """Of the measures of one level. F1 = 2J/(1 + J) rises with the proportion J = TP/(TP + FN + FP), so its interval is J's."""

    recall: Spread = INDEPENDENT
    precision: Spread = INDEPENDENT
    f1: Spread = INDEPENDENT
    recall_answered: Spread = INDEPENDENT
    f1_answered: Spread = INDEPENDENT


def spreads(profiles: Mapping[Profile, int]) -> Spreads:
    """From the number of clusters of each profile."""
    rows = [(*profile, times) for profile, times in profiles.items()]
    return Spreads(
        spread((tp, tp + fn, times) for tp, fn, _, _, times in rows),
        spread((tp, tp + fp, times) for tp, _, fp, _, times in rows),
        spread((tp, tp + fn + fp, times) for tp, fn, fp, _, times in rows),
        spread((tp, tp + fn - failed, times) for tp, fn, _, failed, times in rows),
        spread((tp, tp + fn - failed + fp, times) for tp, fn, fp, failed, times in rows),
    )


def f1_interval(tp: int, wrong: int, spread: Spread = INDEPENDENT) -> tuple[float, float] | None:
    """``wrong``: false negatives and false positives together. None without any."""
    found = interval(tp, tp + wrong, spread)
    return found and (2 * found[0] / (1 + found[0]), 2 * found[1] / (1 + found[1]))


@lru_cache(maxsize=256)
def t_quantile(p: float, freedom: float) -> float:
    """Of Student's t with ``freedom`` degrees, 0.5 <= p < 1, as a quantile of the beta distribution (DLMF 8.17.7)."""
    x = beta_quantile(2 * (1 - p), freedom / 2, 0.5) if p > 0.5 else 1.0
    return math.sqrt(freedom * (1 - x) / x)
