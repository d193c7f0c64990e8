from __future__ import annotations

from helix_ray.records import Variant
from helix_ray.scoring.exact import SEQUENCING_ERROR, judge, score
from helix_ray.scoring.summary import ALL, NOT_A_VARIANT, TypeCounts, summarise
from helix_ray.scoring.variants import JudgedCall

SNV = Variant(5, "A", "G", "SNV", "snv")
DEL = Variant(9, "CA", "C", "DEL", "del")


def call(pos: int, ref: str, alt: str, outcome: str = "ok", kind: str | None = "SNV") -> JudgedCall:
    return JudgedCall(pos, ref, alt, 0.9, outcome, kind, None if outcome == "ok" else "why")


def test_each_truth_and_each_call_is_matched_on_its_own_side() -> None:
    rows = score((SNV, DEL), [call(5, "A", "G"), call(7, "T", "C")])
    assert [(row.side, row.pos, row.match) for row in rows] == [
        ("truth", 5, "TP"),
        ("truth", 9, "FN"),
        ("call", 5, "TP"),
        ("call", 7, "FP"),
    ]
    assert rows[0].event == "snv"
    assert rows[2].confidence == 0.9


def test_invalid_calls_are_false_and_repeated_ones_count_once() -> None:
    rows = score(
        (SNV,), [call(5, "A", "G"), call(5, "A", "G", "duplicate"), call(5, "T", "G", "ref_mismatch"), call(1, "", "x", "bad_base", None)]
    )
    assert [row.match for row in rows] == ["TP", "TP", None, "FP", "FP"]
    assert [row.reason for row in rows[2:]] == ["why", "why", "why"]


def test_the_right_place_with_a_wrong_allele_is_both_missed_and_false() -> None:
    assert [row.match for row in score((SNV,), [call(5, "A", "C")])] == ["FN", "FP"]


def test_a_call_that_equals_a_truth_but_is_invalid_finds_nothing() -> None:
    assert [row.match for row in score((SNV,), [call(5, "A", "G", "overlap")])] == ["FN", "FP"]


def test_without_truth_nothing_is_matched() -> None:
    rows = score(None, [call(5, "A", "G"), call(1, "A", "A", "ref_equals_alt", None)])
    assert [(row.side, row.match) for row in rows] == [("call", None), ("call", None)]


def test_a_read_without_an_answer_misses_its_whole_truth() -> None:
    assert [row.match for row in score((SNV, DEL), ())] == ["FN", "FN"]
    assert score((), ()) == []


def test_a_call_that_equals_a_sequencing_error_is_false_and_says_so() -> None:
    error = Variant(7, "T", "C", "SNV", "snv", 1, "c:6:T:C", "ti")
    calls = [call(7, "T", "C"), call(7, "T", "G"), call(7, "T", "C", "overlap")]
    rows = score((SNV,), calls, (error,))
    assert [(row.match, row.reason) for row in rows] == [("FN", None), ("FP", SEQUENCING_ERROR), ("FP", None), ("FP", "why")]
    assert [row.reason for row in score(None, calls[:1], (error,))] == [None], "without truth nothing is false"
    assert [row.match for row in score((error,), calls[:1], (error,))] == ["TP", "TP"], "a truth is no error"


def test_the_baseline_is_judged_as_a_model_is_and_counted_apart() -> None:
    calls = [call(5, "A", "G"), call(7, "T", "C")]
    rows = score((SNV, DEL), [call(9, "CA", "C", kind="DEL"), call(1, "A", "C")]) + judge("baseline", (SNV, DEL), calls)
    assert [(row.side, row.match) for row in rows[-2:]] == [("baseline", "TP"), ("baseline", "FP")]
    model, baseline = TypeCounts(), TypeCounts()
    model.add(rows)
    baseline.add_baseline(rows)
    assert model.as_dict() == {"SNV": (0, 1, 1), "DEL": (1, 0, 0)}
    assert baseline.as_dict() == {"SNV": (1, 1, 0), "DEL": (0, 0, 1)}
    assert [row.match for row in judge("baseline", None, calls)] == [None, None]


def test_counts_add_up_across_workers() -> None:
    batches = [score((SNV, DEL), [call(5, "A", "G")]), score((SNV,), [call(1, "", "", "bad_base", None)])]
    whole, first, second = TypeCounts(), TypeCounts(), TypeCounts()
    for rows in batches:
        whole.add(rows)
    first.add(batches[0])
    second.add(batches[1])
    first.merge(second)
    assert first.as_dict() == whole.as_dict() == {"SNV": (1, 0, 1), "DEL": (0, 0, 1), NOT_A_VARIANT: (0, 1, 0)}
    assert TypeCounts(whole.as_dict()).as_dict() == whole.as_dict()


def test_the_summary_has_measures_with_intervals_and_none_without_denominator() -> None:
    summary = summarise({"SNV": (8100, 0, 1024), "INS": (0, 0, 3), "DEL": (0, 2, 0)})
    assert list(summary) == ["DEL", "INS", "SNV", ALL]
    assert round(summary["SNV"]["recall"], 6) == 0.887769
    assert summary["SNV"]["precision"] == 1.0
    assert summary["SNV"]["f1"] == 2 * 8100 / (2 * 8100 + 1024)
    low, high = summary["SNV"]["ci"]["recall"]
    assert low < summary["SNV"]["recall"] < high
    assert (summary["INS"]["precision"], summary["INS"]["ci"]["precision"], summary["INS"]["recall"]) == (None, None, 0)
    assert (summary["DEL"]["recall"], summary["DEL"]["f1"]) == (None, 0)
    assert (summary[ALL]["tp"], summary[ALL]["fp"], summary[ALL]["fn"]) == (8100, 2, 1027)
    assert summarise({})[ALL]["f1"] is None
