"""Two callers on the same reads, and one caller's yes and no."""

from __future__ import annotations

from math import sqrt

from helix_ray.scoring.intervals import beta_cdf


def mcnemar(only_one: int, only_other: int) -> float:
    """The exact two-sided p of McNemar's test: how likely so uneven a split is if neither caller is better.

    ``only_one`` and ``only_other``: reads that one caller alone got right. 1 when there are none.
    """
    fewer, more = sorted((only_one, only_other))
    # the binomial tail as an incomplete beta function (DLMF 8.17.5)
    return min(1.0, 2 * beta_cdf(0.5, more, fewer + 1)) if more else 1.0


def matthews(tp: int, fp: int, fn: int, tn: int) -> float | None:
    """Matthews' correlation coefficient, -1..1; None when a row or column of the table is empty."""
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / sqrt(product) if product else None
