"""Jeffreys intervals for proportions, with an inverse of the regularised incomplete beta function of our own.

The interval is the equal-tailed one of Beta(k + 1/2, n − k + 1/2), with the bound set to 0 at k = 0 and to 1 at k = n, as
Brown, Cai & DasGupta 2001 (doi:10.1214/ss/1009213286) recommend; hap.py and som.py report Jeffreys intervals too. SciPy is
not worth its 100 MB for one function.
"""

from __future__ import annotations

import math

_TINY = 1e-300
_PRECISION = 1e-15
_MAX_TERMS = 100_000


def jeffreys(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The interval for ``k`` successes in ``n`` trials (0 <= k <= n); (0, 1) when n is 0."""
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
    low, high, x = 0.0, 1.0, a / (a + b)
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
