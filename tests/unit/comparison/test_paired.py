"""Paired statistics against published examples, SciPy and resampling by hand."""

import math
import random

import numpy as np
import pytest
from scipy import stats

from helix_ray.comparison import paired
from helix_ray.comparison.paired import Clusters, Discordant, Ratio, bootstrap, difference, tango, two_sided, widening


def test_published_examples_of_paired_proportions() -> None:
    """Fagerland, Lydersen & Laake 2014: airway hyper-responsiveness before and after stem cell transplantation."""
    found = Discordant(gained=1, lost=7, reads=21)
    assert found.p == pytest.approx(0.0703, abs=5e-5)
    assert found.mid_p == pytest.approx(0.0391, abs=5e-5)
    assert found.interval() == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert tango(0, 0, 50) == pytest.approx((-0.0714, 0.0714), abs=1e-3), "nothing differs, and still there is an interval"


@pytest.mark.parametrize(("gained", "lost"), [(12, 5), (3, 3), (0, 9), (40, 61)])
def test_the_exact_test_and_odds_are_binomial(gained: int, lost: int) -> None:
    found = Discordant(gained, lost, 500)
    assert found.p == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)
    low, high = stats.binomtest(gained, gained + lost).proportion_ci(method="exact")
    ratio, bounds = found.odds_ratio()
    assert ratio == pytest.approx(gained / lost)
    assert bounds == pytest.approx((low / (1 - low), high / (1 - high)), rel=1e-6)


def test_a_design_effect_leaves_fewer_draws() -> None:
    alone, together = Discordant(30, 10, 400), Discordant(30, 10, 400, effect=4.0)
    assert together.p > alone.p
    wide, narrow = (bounds[1] - bounds[0] for bounds in (together.interval(), alone.interval()))
    assert wide / narrow == pytest.approx(2, rel=0.1)


def ratios(seed: int, reads: int = 300, pack: int = 1) -> tuple[Ratio, Ratio]:
    """F1 of two callers that find the same reads hard, and whose requests fail together."""
    rng = np.random.default_rng(seed)
    truths, hard = rng.poisson(1.4, reads), rng.normal(size=reads)
    made = []
    for skill in (0.8, 1.0):
        failed = np.repeat(rng.random(-(-reads // pack)) < 0.2, pack)[:reads]
        found = np.where((hard + rng.normal(size=reads) < skill) & ~failed, truths, 0)
        made.append(Ratio(2 * found, 2 * found + (truths - found) + (rng.random(reads) < 0.2)))
    return made[0], made[1]


@pytest.mark.parametrize("pack", [1, 5])
def test_errors_are_those_of_resampled_clusters(pack: int) -> None:
    first, second = ratios(1, pack=pack)
    requests = None if pack == 1 else np.arange(300) // pack
    clusters = Clusters.of(requests, requests)
    linear, drawn = difference(first, second, clusters), bootstrap(first, second, clusters)
    assert linear is not None
    assert drawn is not None
    rng, by_hand = random.Random(2), []
    blocks = [range(start, start + pack) for start in range(0, 300, pack)]
    for _ in range(1000):
        places = [place for block in rng.choices(blocks, k=len(blocks)) for place in block]
        one, two = (it.part[places].sum() / it.whole[places].sum() for it in (first, second))
        by_hand.append(two - one)
    assert linear.error == pytest.approx(np.std(by_hand), rel=0.1)
    assert np.std(drawn.resamples) == pytest.approx(np.std(by_hand), rel=0.1)
    assert drawn.interval() == pytest.approx(np.quantile(by_hand, [0.025, 0.975]), abs=0.02)
    assert (linear.effect > 1.5) == (pack > 1)


def test_requests_of_both_runs_count_once() -> None:
    """Two-way: V_A + V_B - V_AB. The same packing in both is clustering by it; one read a request in one run is by the other."""
    first, second = ratios(3, pack=5)
    packed, moves, every = np.arange(300) // 5, second.moves() - first.moves(), np.ones(300, dtype=bool)
    same = Clusters.of(packed, packed).variance(moves, every)
    assert (
        same == Clusters.of(packed, None).variance(moves, every) == pytest.approx(paired._sum_variance(paired._by_cluster(packed, moves)))
    )
    crossed = Clusters.of(packed, (np.arange(300) + 2) // 5).variance(moves, every)[0]
    parts = [paired._sum_variance(paired._by_cluster(codes, moves))[0] for codes in (packed, (np.arange(300) + 2) // 5)]
    assert max(parts) <= crossed < sum(parts)


def test_few_clusters_take_students_t_and_many_kinds_no_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    assert two_sided(2.0, 11) == pytest.approx(2 * stats.t.sf(2.0, 10))
    assert two_sided(2.0, 400) == pytest.approx(2 * stats.norm.sf(2.0))
    assert widening(11) == pytest.approx((stats.t.ppf(0.975, 10) / stats.norm.ppf(0.975)) ** 2)
    assert two_sided(math.inf, 5) == 0
    first, second = ratios(4)
    monkeypatch.setattr(paired, "MAX_PATTERNS", 2)
    assert bootstrap(first, second, Clusters()) is None
    assert difference(first, Ratio(second.part * 0, second.whole * 0), Clusters()) is None
