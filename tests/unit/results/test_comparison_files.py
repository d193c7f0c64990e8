"""How the figures of a comparison are laid out."""

from itertools import combinations

import pytest

from helix_ray.results.comparison_files import apart, strata, ticks


@pytest.mark.parametrize("height", [60.0, 300.0])
def test_labels_of_runs_with_equal_price_and_exactness_do_not_meet_and_stay_in_the_drawing(height: float) -> None:
    labels = [(10.0, 90.0, height), (40.0, 120.0, height + 2), (100.0, 160.0, height), (10.0, 90.0, height), (400.0, 480.0, height)]
    placed = apart(labels)
    for one, other in combinations(range(len(labels)), 2):
        if labels[one][0] < labels[other][1] and labels[other][0] < labels[one][1]:
            assert abs(placed[one] - placed[other]) >= 15
    assert placed[4] == height, "it stands alone"
    assert all(20 < y < 324 for y in placed)


@pytest.mark.parametrize(("reach", "last"), [(0.364, 0.3), (0.1, 0.1), (0.011, 0.01), (0.094, 0.08), (2.2, 2.0)])
def test_the_axis_has_round_numbers_around_nothing(reach: float, last: float) -> None:
    found = ticks(reach)
    assert found[-1] == pytest.approx(last)
    assert found[len(found) // 2] == 0
    assert 5 <= len(found) <= 9


def test_where_each_is_compared_with_each_only_differences_from_the_baseline_are_marked() -> None:
    cell = {"dimension": "type", "level": "SNV", "truths": 9, "f1": 0.5, "recall": 0.5}
    pairs = [
        {"first": first, "second": second, "levels": [{"dimension": "type", "level": "SNV", "q": q}]}
        for first, second, q in ((0, 1, 0.01), (0, 2, 0.5), (1, 2, 0.01))
    ]
    ((_, _, cells),) = strata({"pairs": pairs, "standings": [{"cells": [cell]}] * 3})  # type: ignore[typeddict-item]
    assert [it and it["told"] for it in cells] == [False, True, False]
