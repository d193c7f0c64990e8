import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.scoring.statistics import beta_cdf, beta_quantile, jeffreys


def half_integer_cdf(x: float, k: int, m: int) -> float:
    """I_x(k + 1/2, m + 1/2) by the recurrences DLMF 8.17.20/21 from I_x(1/2, 1/2) = 2/π·asin √x: another way than ours."""
    value = 2 / math.pi * math.asin(math.sqrt(x))
    a, b = 0.5, 0.5
    for _ in range(k):
        value -= math.exp(a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a + 1) - math.lgamma(b))
        a += 1
    for _ in range(m):
        value += math.exp(a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b + 1))
        b += 1
    return value


@pytest.mark.parametrize(("k", "n"), [(1, 2), (3, 10), (5, 10), (18, 20), (99, 100), (50, 400), (8100, 9124)])
def test_bounds_cut_off_exactly_the_tails(k: int, n: int) -> None:
    low, high = jeffreys(k, n)
    assert half_integer_cdf(low, k, n - k) == pytest.approx(0.025, abs=1e-9)
    assert half_integer_cdf(high, k, n - k) == pytest.approx(0.975, abs=1e-9)


def test_the_example_of_happy() -> None:
    """hap.py's worked example: 8,100 of 8,100 + 1,024 truths found."""
    recall = 8100 / (8100 + 1024)
    low, high = jeffreys(8100, 9124)
    assert recall == pytest.approx(0.887769, abs=5e-7)
    assert low < recall < high
    assert high - low == pytest.approx(2 * 1.959964 * math.sqrt(recall * (1 - recall) / 9124), rel=1e-3)


def test_known_closed_forms() -> None:
    assert beta_quantile(0.025, 0.5, 0.5) == pytest.approx(math.sin(math.pi * 0.025 / 2) ** 2, abs=1e-12)
    assert beta_quantile(0.3, 3.0, 1.0) == pytest.approx(0.3 ** (1 / 3), abs=1e-12)
    assert beta_quantile(0.3, 1.0, 4.0) == pytest.approx(1 - 0.7**0.25, abs=1e-12)
    assert beta_cdf(0.4, 2.0, 3.0) == pytest.approx(sum(math.comb(4, i) * 0.4**i * 0.6 ** (4 - i) for i in range(2, 5)), abs=1e-14)
    assert (beta_cdf(-1, 2, 3), beta_cdf(0, 2, 3), beta_cdf(1, 2, 3)) == (0, 0, 1)


def test_edges() -> None:
    assert jeffreys(0, 0) == (0.0, 1.0)
    assert jeffreys(0, 20)[0] == 0.0
    assert jeffreys(20, 20)[1] == 1.0
    assert 0 < jeffreys(0, 20)[1] < 0.2
    with pytest.raises(ValueError, match="3 successes in 2 trials"):
        jeffreys(3, 2)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_symmetric_and_around_the_proportion(case: tuple[int, int]) -> None:
    k, n = case
    low, high = jeffreys(k, n)
    mirrored_low, mirrored_high = jeffreys(n - k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert (low, high) == pytest.approx((1 - mirrored_high, 1 - mirrored_low), abs=1e-9)
