import math
import random

import pytest
from scipy import stats

from helix_ray.scoring.clusters import FEW, critical, interval, spread, sum_variance, t_quantile
from helix_ray.scoring.statistics import jeffreys


@pytest.mark.parametrize("freedom", [1, 2, 5, 19, 38, 400])
def test_quantiles_of_t_are_scipys(freedom: int) -> None:
    for p in (0.5, 0.6, 0.975, 0.999):
        assert t_quantile(p, freedom) == pytest.approx(stats.t.ppf(p, freedom), rel=1e-9, abs=1e-12)
    assert critical(freedom + 1) == pytest.approx(stats.t.ppf(0.975, freedom) if freedom + 1 < FEW else 1.959964, rel=1e-6)


def test_mistakes_that_come_together_widen_the_interval() -> None:
    apart = spread([(1, 1, 300), (0, 1, 300)])
    together = spread([(5, 5, 60), (0, 5, 60)])
    assert apart.effect == pytest.approx(1, abs=0.01)
    assert together.effect == pytest.approx(5 * 120 / 119)
    wide, narrow = interval(300, 600, together), interval(300, 600, apart)
    assert wide is not None
    assert narrow is not None
    assert (wide[1] - wide[0]) / (narrow[1] - narrow[0]) == pytest.approx(math.sqrt(5), rel=0.02)


def test_the_variance_is_that_of_resampled_clusters() -> None:
    rng = random.Random(1)
    sizes = [rng.randint(1, 8) for _ in range(200)]
    clusters = [(sum(rng.random() < skill for _ in range(size)), size, 1) for size in sizes for skill in (rng.random(),)]
    part, whole = sum(hit for hit, *_ in clusters), sum(sizes)
    drawn = []
    for _ in range(2000):
        some = rng.choices(clusters, k=len(clusters))
        drawn.append(sum(hit for hit, *_ in some) / sum(size for _, size, _ in some))
    independent = part / whole * (1 - part / whole) / whole
    mean = sum(drawn) / len(drawn)
    assert spread(clusters).effect * independent == pytest.approx(sum((x - mean) ** 2 for x in drawn) / len(drawn), rel=0.1)


def test_what_has_no_spread_of_its_own_counts_by_cluster() -> None:
    assert spread([(3, 3, 1), (1, 1, 5), (0, 0, 9)]).effect == pytest.approx((9 + 5) / 8), "all right: Kish's mean size"
    assert spread([(2, 5, 1)]).effect == 5
    assert interval(3, 3, spread([(1, 1, 3)])) == jeffreys(3, 3), "three of three, each a read of its own"
    assert spread([]).clusters == 0
    assert interval(0, 0) is None
    assert sum_variance([(1.0, 1)]) == math.inf


def test_few_clusters_take_students_t() -> None:
    few, many = spread([(1, 1, 10), (0, 1, 10)]), spread([(1, 1, 30), (0, 1, 30)])
    assert few.divisor / few.effect == pytest.approx((stats.t.ppf(0.975, 19) / 1.959964) ** 2, rel=1e-5)
    assert many.divisor == many.effect
