from __future__ import annotations

from helix_ray.config.emulator import EmulatorErrorRates
from support.scripted_chain import recovered, scripted_scores

SEEDS = 100


def test_rates_that_are_set_lie_in_the_intervals_that_are_reported() -> None:
    """benchmarks/check_recovery.py has ten times as many seeds and tighter bounds; 90 is 2.3 standard deviations below 95."""
    rates = EmulatorErrorRates(drop=0.2, shift=0.1, hallucinate=0.15)
    expected = {"missed": 0.2, "misplaced": 0.1, "invented": 0.15}
    covered = dict.fromkeys(expected, 0)
    for seed in range(SEEDS):
        found = recovered(scripted_scores(seed, 120, rates))
        for name, rate in expected.items():
            low, high = found[name]["ci"]
            covered[name] += low <= rate <= high
    assert all(90 <= count <= 99 for count in covered.values()), covered


def test_without_mistakes_there_are_none() -> None:
    scores = scripted_scores(1, 500, EmulatorErrorRates(drop=0, shift=0, hallucinate=0))
    rates = recovered(scores)
    assert {name: found["count"] for name, found in rates.items()} == {
        "missed": 0,
        "misplaced": 0,
        "misnamed": 0,
        "invented": 0,
        "misread": 0,
    }
    assert rates["missed"]["of"] > 500
    assert rates["invented"]["of"] == 500
    assert scores.reads.exact == 500
