import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.read_answer import RawCall
from helix_ray.scoring.variants import collide, edit

WINDOW = "CCGAAAAAGT"


def judge(*calls: tuple[int, str, str]) -> list[tuple[int, str, str, str, str | None]]:
    judged = judge_calls([RawCall(*call, 0.5) for call in calls], WINDOW)
    return [(call.pos, call.ref, call.alt, call.outcome, call.type) for call in judged]


@pytest.mark.parametrize(
    ("call", "outcome", "kind"),
    [
        ((3, "G", "T"), "ok", "SNV"),
        ((3, "T", "G"), "ref_mismatch", "SNV"),
        ((0, "C", "T"), "out_of_range", "SNV"),
        ((-5, "C", "T"), "out_of_range", "SNV"),
        ((11, "T", "C"), "out_of_range", "SNV"),
        ((10, "TA", "T"), "out_of_range", "DEL"),
        ((3, "", ""), "bad_base", None),
        ((3, "-", "-"), "bad_base", None),
        ((3, "-", "U"), "bad_base", None),
        ((3, "--", "G"), "bad_base", None),
        ((3, "g", "t"), "bad_base", None),
        ((3, "G--", "G"), "bad_base", None),
        ((0, "-", "G"), "out_of_range", "INS"),
        ((11, "", "G"), "out_of_range", "INS"),
        ((0, "C", "-"), "out_of_range", "DEL"),
        ((12, "C", ""), "out_of_range", "DEL"),
        ((1, WINDOW, "-"), "out_of_range", "DEL"),
        ((3, "G", "U"), "bad_base", None),
        ((3, "G", "G"), "ref_equals_alt", None),
        ((3, "G", "N"), "bad_base", None),
    ],
)
def test_each_call_is_checked_against_the_window(call: tuple[int, str, str], outcome: str, kind: str | None) -> None:
    assert judge(call) == [(*call, outcome, kind)]


@pytest.mark.parametrize(
    ("ref", "read", "expected"),
    [
        ("CCGA", "CCTA", [(3, "G", "T", "ok")]),
        ("CCGAAAAAG", "CTGAAAAG", [(2, "C", "T", "ok"), (3, "GA", "G", "ok")]),  # two differences, one call
        (WINDOW, f"T{WINDOW}", [(1, "C", "TC", "ok")]),
        (WINDOW, WINDOW[1:], [(1, "CC", "C", "ok")]),
        ("AAA", "AA", [(4, "AAA", "AA", "ambiguous")]),
        ("C", "T", [(1, "C", "T", "ambiguous")]),
        ("CCT", "CCG", [(0, "CCT", "CCG", "ref_mismatch")]),
        ("", "CCG", [(0, "", "CCG", "bad_base")]),
        ("CCG", "", [(1, "CCG", "", "bad_base")]),
        ("CCG", "CCU", [(1, "CCG", "CCU", "bad_base")]),
        ("GT", "GT", [(9, "GT", "GT", "ref_equals_alt")]),
    ],
)
def test_excerpts_are_placed_where_the_window_has_them_once(ref: str, read: str, expected: list[tuple[int, str, str, str]]) -> None:
    judged = judge_calls([RawCall(None, ref, read, 0.5)], WINDOW)
    assert [(call.pos, call.ref, call.alt, call.outcome) for call in judged] == expected


def test_a_difference_that_two_excerpts_show_is_one() -> None:
    judged = judge_calls(
        [RawCall(None, "CCGA", "CCTA", 0.9), RawCall(None, "CGAAAAAG", "CTAAAAAG", 0.8), RawCall(3, "G", "T", 0.7)], WINDOW
    )
    assert [call.outcome for call in judged] == ["ok", "duplicate", "duplicate"]


def test_valid_calls_come_back_in_normal_form() -> None:
    assert judge((7, "AA", "A")) == [(3, "GA", "G", "ok", "DEL")]
    assert judge((2, "CG", "CT")) == [(3, "G", "T", "ok", "SNV")]


@pytest.mark.parametrize(
    ("gap", "anchored"),
    [
        ((2, "-", "T"), (2, "C", "CT")),
        ((10, "", "AC"), (10, "T", "TAC")),
        ((3, "G", "-"), (2, "CG", "C")),
        ((9, "GT", ""), (8, "AGT", "A")),
        ((1, "C", "-"), (1, "CC", "C")),
        ((1, "CCG", "-"), (1, "CCGA", "A")),
        ((3, "T", "-"), (2, "CT", "C")),  # a mismatch
        ((1, "G", "-"), (1, "GC", "C")),  # a mismatch
        ((9, "GTA", "-"), (8, "AGTA", "A")),  # beyond the end
        ((11, "A", "-"), (10, "TA", "T")),  # beyond the end
    ],
)
def test_a_gap_means_what_its_anchored_form_means(gap: tuple[int, str, str], anchored: tuple[int, str, str]) -> None:
    assert judge(gap) == judge(anchored)


@given(st.text("ACGT", min_size=2, max_size=12), st.data())
def test_every_indel_of_a_window_may_be_written_with_a_gap(window: str, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(window) - 1))
    start = data.draw(st.integers(1, len(window) - size + 1))
    inserted = data.draw(st.text("ACGT", min_size=1, max_size=4))
    deletion, insertion = RawCall(start, window[start - 1 : start - 1 + size], "-", None), RawCall(start, "", inserted, None)
    for call, result in (
        (deletion, window[: start - 1] + window[start - 1 + size :]),
        (insertion, window[:start] + inserted + window[start:]),
    ):
        (judged,) = judge_calls([call], window)
        assert judged.outcome == "ok"
        assert window[: judged.pos - 1] + judged.alt + window[judged.pos - 1 + len(judged.ref) :] == result


def test_the_first_of_equal_calls_stands() -> None:
    assert [call[3] for call in judge((7, "AA", "A"), (7, "AA", "A"), (6, "AAA", "AA"))] == ["ok", "duplicate", "ok"]
    told_apart = judge((7, "AA", "A"), (5, "AA", "A"))
    assert [call[:4] for call in told_apart] == [(7, "AA", "A", "ok"), (5, "AA", "A", "ok")], "two deleted bases, told one by one"


def test_calls_that_cannot_be_applied_together_overlap() -> None:
    assert [call[3] for call in judge((3, "G", "T"), (3, "G", "C"))] == ["ok", "overlap"]
    assert [call[3] for call in judge((2, "CGA", "C"), (3, "G", "T"))] == ["ok", "overlap"]
    assert [call[3] for call in judge((9, "G", "GC"), (9, "G", "GTT"))] == ["ok", "overlap"]
    assert [call[3] for call in judge((3, "G", "T"), (3, "G", "GC"), (9, "G", "T"))] == ["ok", "ok", "ok"]


def test_an_invalid_call_blocks_no_valid_one() -> None:
    assert [call[3] for call in judge((3, "A", "T"), (3, "G", "T"))] == ["ref_mismatch", "ok"]


def test_alleles_that_no_database_would_take_are_made_storable() -> None:
    (call,) = judge((3, "G\0", "\ud800" + "A" * 500))
    assert call[1] == "G\\u0000"
    call[2].encode()
    assert len(call[2]) <= 120


def test_each_fault_is_explained() -> None:
    (call,) = judge_calls([RawCall(3, "AA", "A", None)], WINDOW)
    assert call.reason == "the window has GA there"


def test_an_indel_stays_where_another_call_interrupts_its_repeat() -> None:
    window = "GCAAAAAAGTCC"
    across = judge_calls([RawCall(5, "A", "C", 1.0), RawCall(8, "A", "AA", 1.0)], window)
    assert [call[:3] for call in across] == [(5, "A", "C"), (8, "A", "AA")], "left-aligned it would stand before the substitution"
    beside = judge_calls([RawCall(5, "A", "C", 1.0), RawCall(11, "C", "CC", 1.0)], window)
    assert [call[:3] for call in beside] == [(5, "A", "C"), (10, "T", "TC")]


@given(st.data())
def test_of_any_calls_no_two_that_stand_collide_and_every_overlap_collides_with_one(data: st.DataObject) -> None:
    window = "ACGTTGCAAC" * 3
    calls = []
    for _ in range(data.draw(st.integers(0, 12))):
        pos = data.draw(st.integers(1, 28))
        ref = window[pos - 1 : pos - 1 + data.draw(st.integers(1, 3))]
        calls.append(RawCall(pos, ref, data.draw(st.text("ACGT", min_size=1, max_size=3)), 1.0))
    standing: list[tuple[int, int]] = []
    for call, judged in zip(calls, judge_calls(calls, window), strict=True):
        if judged.outcome in ("ok", "overlap"):
            span = edit(call.pos, call.ref, call.alt)[:2]
            collides = any(collide(span, other) for other in standing)
            assert collides is (judged.outcome == "overlap")
            if not collides:
                standing.append(span)
