import pytest
from scipy import stats

from helix_ray.config.emulator import EmulatorErrorRates
from helix_ray.scoring.clusters import Profile, f1_interval, spreads
from helix_ray.scoring.statistics import Outcome, average_precision, calibration, curve, jeffreys, matthews, mcnemar
from helix_ray.scoring.summary import ALL, measures, rate, summarise
from helix_ray.scoring.tally import Counts
from support.scripted_results import recovered, scripted_scores


def test_the_example_of_happy() -> None:
    """hap.py's documentation: 8,100 truths found, 1,024 missed."""
    found = measures(Counts(tp=8100, fn=1024, fp=1024))
    assert found["recall"] == pytest.approx(0.887769, abs=5e-7)
    assert found["f1"] == pytest.approx(0.887769, abs=5e-7)


@pytest.mark.parametrize("n", [1, 2, 7, 100, 9124, 1_000_000])
def test_jeffreys_intervals_are_scipys(n: int) -> None:
    for k in {0, 1, n // 3, n // 2, n - 1, n}:
        low, high = jeffreys(k, n)
        assert low == pytest.approx(0.0 if k == 0 else stats.beta.ppf(0.025, k + 0.5, n - k + 0.5), rel=1e-9, abs=1e-14)
        assert high == pytest.approx(1.0 if k == n else stats.beta.ppf(0.975, k + 0.5, n - k + 0.5), rel=1e-9, abs=1e-14)


def test_precision_and_recall_share_their_right_ones() -> None:
    found = measures(Counts(tp=8, fn=2, fp=4, fp_invalid=3))
    assert (found["precision"], found["recall"], found["query_tp"]) == (8 / 12, 0.8, 8)
    assert found["f1"] == pytest.approx(2 * 8 / 12 * 0.8 / (8 / 12 + 0.8))
    assert found["ci"]["precision"] == list(jeffreys(8, 12))
    low, high = jeffreys(8, 14)
    assert found["ci"]["f1"] == pytest.approx([2 * low / (1 + low), 2 * high / (1 + high)])
    assert (found["fp_invalid"], found["design_effect"], found["clusters"]) == (3, None, None)


def test_without_an_answer_is_missed_in_the_headline_and_left_out_beside_it() -> None:
    found = measures(Counts(tp=6, fn=4, fn_failed=2, fp=1))
    assert found["recall"] == 0.6
    beside = found["excluding_failed"]
    assert (beside["recall"], beside["precision"], beside["f1"]) == (0.75, 6 / 7, 0.8)
    assert beside["ci"]["recall"] == list(jeffreys(6, 8))
    assert beside["ci"]["f1"] == list(f1_interval(6, 3) or ())


def test_what_has_no_denominator_is_none() -> None:
    empty = measures(Counts())
    assert (empty["precision"], empty["recall"], empty["f1"], empty["ci"]["recall"]) == (None, None, None, None)
    silent = measures(Counts(fn=3))
    assert (silent["recall"], silent["precision"], silent["f1"], silent["ci"]["f1"]) == (0.0, None, None, None)
    assert measures(Counts(fn=3, fp=1))["f1"] == 0.0
    assert measures(Counts(fp=3))["f1"] is None
    assert rate(0, 0) == {"count": 0, "of": 0, "rate": None, "ci": None}
    assert rate(1, 4)["rate"] == 0.25


def test_a_summary_ends_with_the_sum() -> None:
    together = spreads({Profile(3, 0, 0): 30, Profile(0, 3, 0, 3): 10})
    table = summarise({"SNV": Counts(tp=1), "DEL": Counts(fn=1, fp=1)}, {ALL: together})
    assert list(table) == ["DEL", "SNV", ALL]
    assert (table[ALL]["tp"], table[ALL]["fn"], table[ALL]["fp"], table[ALL]["clusters"]) == (1, 1, 1, 40)
    assert table[ALL]["design_effect"] == {"precision": 3.0, "recall": pytest.approx(3 * 40 / 39), "f1": pytest.approx(3 * 40 / 39)}
    assert table["SNV"]["design_effect"] is None
    assert table[ALL]["ci"]["recall"] == pytest.approx(jeffreys(1 / (3 * 40 / 39), 2 / (3 * 40 / 39)))


def test_reads_that_fail_together_widen_the_intervals_with_them_and_not_those_without() -> None:
    apart = spreads({Profile(1, 0, 0): 270, Profile(0, 1, 0, 1): 30, Profile(1, 0, 1): 30})
    together = spreads({Profile(5, 0, 0): 54, Profile(0, 5, 0, 5): 6, Profile(1, 0, 1): 30})
    assert min(together.recall.effect, together.f1.effect) > 3
    assert max(apart.recall.effect, apart.f1.effect) < 1.1
    assert together.recall_answered.clusters == 84


@pytest.mark.parametrize(("one", "other"), [(0, 0), (1, 0), (3, 9), (10, 10), (0, 30), (400, 460), (60_000, 61_000)])
def test_mcnemar_is_the_exact_binomial_test(one: int, other: int) -> None:
    expected = stats.binomtest(one, one + other).pvalue if one + other else 1.0
    assert mcnemar(one, other) == pytest.approx(expected, rel=1e-6)
    assert mcnemar(other, one) == mcnemar(one, other)


def test_matthews() -> None:
    assert matthews(5, 0, 0, 5) == 1.0
    assert matthews(0, 5, 5, 0) == -1.0
    assert matthews(90, 4, 3, 10) == pytest.approx(0.7039987, abs=5e-7)
    assert matthews(5, 0, 0, 0) is None


def test_precision_and_recall_along_the_confidence() -> None:
    calls = {0.9: Outcome(2, 0), 0.5: Outcome(1, 1), None: Outcome(0, 3)}
    known = {sure: outcome for sure, outcome in calls.items() if sure is not None}
    points = curve(known, 4)
    assert [(point["confidence"], point["precision"], point["recall"]) for point in points] == [(0.9, 1.0, 0.5), (0.5, 0.75, 0.75)]
    assert average_precision(known, 4) == pytest.approx(0.5 + 0.75 * 0.25)
    assert average_precision(known, 0) is None


def test_calibration() -> None:
    table = calibration({0.95: Outcome(9, 1), 0.91: Outcome(1, 9), 1.0: Outcome(0, 0)})
    assert table is not None
    (only,) = table["bins"]
    assert only == {"from": 0.9, "to": 1.0, "calls": 20, "confidence": pytest.approx(0.93), "right": 0.5}
    assert table["ece"] == pytest.approx(0.43)
    assert calibration({}) is None


SEEDS = 100


def test_rates_that_are_set_lie_in_the_intervals_that_are_reported() -> None:
    """benchmarks/check_recovery.py has ten times as many seeds and tighter bounds; 90 is 2.3 standard deviations below 95."""
    rates = EmulatorErrorRates(drop=0.2, shift=0.1, hallucinate=0.15)
    expected = {"missed": 0.2, "misplaced": 0.1, "invented": 0.15}
    covered = dict.fromkeys(expected, 0)
    for seed in range(SEEDS):
        found = recovered(scripted_scores(seed, 120, rates))
        for name, wanted in expected.items():
            low, high = found[name]["ci"]
            covered[name] += low <= wanted <= high
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
        "renumbered": 0,
    }
    assert rates["missed"]["of"] > 500
    assert rates["invented"]["of"] == 500
    assert scores.reads.exact == 500
