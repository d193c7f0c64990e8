import random
from collections.abc import Callable, Sequence

import pytest

from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.read_answer import RawCall
from helix_ray.config import Config
from helix_ray.records import Read, ScoredVariant, Variant
from helix_ray.scoring.score import score_read
from helix_ray.scoring.tally import IN_THE_READ
from helix_ray.scoring.variants import JudgedCall, apply, edits
from helix_ray.sources.synthetic import SyntheticSource

WINDOW = "ACGTACGTTTTTACGTGGCATCGA"
SNV = Variant(5, "A", "G", "SNV", "snv")
DEL = Variant(8, "TT", "T", "DEL", "del")

Allele = tuple[int, str, str]


def read_with(truth: Sequence[Variant] | None, errors: Sequence[Variant] | None = None, seq: str | None = None) -> Read:
    spelled = apply(WINDOW, edits(variant[:3] for variant in [*(truth or ()), *(errors or ())]))
    seq = seq if seq is not None else spelled
    assert seq is not None
    known = None if truth is None else tuple(truth)
    return Read(0, "r", "c", 0, "+", WINDOW, seq, None, known, True, None, None, None, errors=None if errors is None else tuple(errors))


def call(pos: int, ref: str, alt: str, outcome: str = "ok", kind: str | None = "SNV") -> JudgedCall:
    return JudgedCall(pos, ref, alt, 0.9, outcome, kind, None if outcome == "ok" else "why")


def seen(rows: Sequence[ScoredVariant]) -> list[tuple[str, str | None, str | None, int | None]]:
    return [(row.side, row.match, row.detail, row.off_by) for row in rows]


def test_each_truth_and_each_call_is_matched_on_its_own_side() -> None:
    score = score_read(read_with([SNV, DEL]), [call(5, "A", "G"), call(20, "A", "C")], None)
    assert seen(score.rows) == [
        ("truth", "TP", "allele", None),
        ("truth", "FN", "missed", None),
        ("call", "TP", "allele", None),
        ("call", "FP", "invented", None),
    ]
    assert (score.exact, score.baseline_exact, score.residual_edits, score.capped) == (False, None, 2, False)
    assert score.rows[0].event == "snv"
    assert score.rows[2].confidence == 0.9


def test_another_way_of_spelling_the_same_sequence_is_right() -> None:
    truth = [Variant(5, "AC", "GT", "MNV", "mnv")]
    score = score_read(read_with(truth), [call(5, "A", "G"), call(6, "C", "T")], [call(5, "AC", "GT", kind="MNV")])
    assert seen(score.rows) == [
        ("truth", "TP", "haplotype", None),
        ("call", "TP", "haplotype", None),
        ("call", "TP", "haplotype", None),
        ("baseline", "TP", "allele", None),
    ]
    assert (score.exact, score.baseline_exact, score.residual_edits) == (True, True, 0)
    assert score.rows[0].baseline == "TP"


def test_only_the_part_that_agrees_is_right() -> None:
    truth = [Variant(5, "AC", "GT", "MNV", "mnv"), Variant(20, "A", "C", "SNV", "snv")]
    score = score_read(read_with(truth), [call(5, "A", "G"), call(6, "C", "T"), call(19, "C", "A")], None)
    assert [(row.match, row.detail, row.off_by) for row in score.rows] == [
        ("TP", "haplotype", None),
        ("FN", "near", -1),
        ("TP", "haplotype", None),
        ("TP", "haplotype", None),
        ("FP", "near", -1),
    ]


@pytest.mark.parametrize(
    ("wrong", "detail", "off_by"),
    [
        (call(5, "A", "C"), "allele", 0),
        (call(5, "C", "G", "ref_mismatch"), "allele", 0),
        (call(6, "C", "G"), "near", 1),
        (call(2, "C", "G"), "near", -3),
        (call(10, "T", "G"), "near", 5),
        (call(11, "T", "G"), "invented", None),
        (call(99, "T", "G", "out_of_range"), "invented", None),
        (call(1, "", "x", "bad_base", None), "near", -4),
    ],
)
def test_what_kind_of_mistake_a_wrong_call_is(wrong: JudgedCall, detail: str, off_by: int | None) -> None:
    truth, rated = score_read(read_with([SNV]), [wrong], None).rows
    assert (rated.match, rated.detail, rated.off_by, rated.reason) == ("FP", detail, off_by, wrong.reason)
    assert (truth.match, truth.detail, truth.off_by) == ("FN", "missed" if detail == "invented" else detail, off_by)


def test_a_mistake_belongs_to_the_nearest_missed_truth_and_each_has_one_at_most() -> None:
    truth = [SNV, Variant(7, "G", "C", "SNV", "snv")]
    rows = score_read(read_with(truth), [call(6, "C", "A"), call(8, "T", "A"), call(10, "T", "A")], None).rows
    assert [(row.detail, row.off_by) for row in rows] == [("near", 1), ("near", 1), ("near", 1), ("near", 1), ("invented", None)]


def test_an_invalid_call_finds_nothing_and_a_repeated_one_is_not_counted_again() -> None:
    rows = score_read(read_with([SNV]), [call(5, "A", "G", "overlap")], None).rows
    assert [row.match for row in rows] == ["FN", "FP"]
    score = score_read(read_with([SNV]), [call(5, "A", "G"), call(5, "A", "G", "duplicate")], None)
    assert [row.match for row in score.rows] == ["TP", "TP", None]
    assert score.exact is True


def test_without_truth_nothing_is_matched_but_the_calls_may_still_explain_the_read() -> None:
    score = score_read(read_with(None, seq=WINDOW[:4] + "G" + WINDOW[5:]), [call(5, "A", "G")], [call(5, "A", "G")])
    assert seen(score.rows) == [("call", None, None, None), ("baseline", None, None, None)]
    assert (score.exact, score.baseline_exact, score.residual_edits) == (None, None, 0)


def test_a_read_without_an_answer_misses_its_whole_truth() -> None:
    score = score_read(read_with([SNV, DEL]), None, [call(5, "A", "G")])
    assert seen(score.rows)[:2] == [("truth", "FN", "failed", None)] * 2
    assert [row.baseline for row in score.rows[:2]] == ["TP", "FN"]
    assert (score.exact, score.baseline_exact, score.residual_edits) == (None, False, None)
    assert score_read(read_with([]), None, None).rows == []


def test_a_sequencing_error_that_is_called_is_told_from_an_invention() -> None:
    error = Variant(20, "A", "C", "SNV", "snv")
    score = score_read(read_with([SNV], [error]), [call(5, "A", "G"), call(20, "A", "C"), call(15, "G", "C")], None)
    assert seen(score.rows)[1:4] == [("call", "TP", "allele", None), ("call", "FP", "error", None), ("call", "FP", "invented", None)]
    assert [row.all_match for row in score.rows] == ["TP", "TP", "TP", "FP", "TP"]
    assert score.exact is False
    assert score.residual_edits == 1, "the invented one; the error is in the read"


def test_false_substitutions_that_touch_are_one_false_call_in_either_spelling() -> None:
    window = read_with([])
    apart = [call(5, "A", "G"), call(6, "C", "T")._replace(confidence=0.5), call(7, "G", "A", "ref_mismatch"), call(8, "T", "C")]
    together = [call(5, "AC", "GT", kind="MNV")._replace(confidence=0.5), call(7, "G", "A", "ref_mismatch"), call(8, "T", "C")]
    assert score_read(window, apart, None).rows == score_read(window, together, None).rows
    misread = read_with([], [Variant(5, "A", "G", "SNV", "snv")])
    rows = score_read(misread, apart, None).rows
    assert next((row.type, row.detail, row.all_match) for row in rows if row.side == "call") == ("MNV", "invented", "FP")
    assert rows == score_read(misread, together, None).rows


def test_a_truth_and_an_error_called_as_one_find_the_truth() -> None:
    error = Variant(6, "C", "T", "SNV", "snv")
    score = score_read(read_with([SNV], [error]), [call(5, "AC", "GT", kind="MNV")], None)
    assert seen(score.rows)[:2] == [("truth", "TP", "haplotype", None), ("call", "TP", "haplotype", None)]
    assert [(row.side, row.all_match) for row in score.rows] == [("truth", "TP"), ("call", "TP"), ("error", "TP")]


def test_calls_that_cancel_each_other_are_not_right_for_that() -> None:
    window = "GATTCGCAAAAAGCTTACGGATCC"
    pair = [call(7, "C", "CA", kind="INS"), call(10, "AA", "A", kind="DEL")]
    true = Variant(18, "C", "T", "SNV", "snv")
    base = read_with([SNV])._replace(ref_seq=window, seq=window, truth=())
    assert apply(window, edits(item[:3] for item in pair)) == window
    clean = score_read(base, pair, None)
    assert [(row.match, row.detail) for row in clean.rows] == [("FP", "invented")] * 2
    misread = score_read(base._replace(errors=(true,)), pair, None)
    assert [(row.match, row.detail) for row in misread.rows[:2]] == [("FP", "invented")] * 2, "an error elsewhere changes nothing"
    beside = score_read(base._replace(truth=(true,)), [*pair, call(18, "C", "T")], None)
    assert [(row.side, row.match) for row in beside.rows] == [("truth", "TP"), ("call", "FP"), ("call", "FP"), ("call", "TP")]
    assert [clean.exact, misread.exact, beside.exact] == [False, False, False]


def test_a_read_is_exact_only_if_its_calls_spell_its_truth() -> None:
    error = Variant(6, "C", "T", "SNV", "snv")
    merged = score_read(read_with([SNV], [error]), [call(5, "AC", "GT", kind="MNV")], None)
    assert merged.exact is False, "the error is in it"
    assert score_read(read_with([SNV]), [call(5, "A", "G")], None).exact is True
    assert score_read(read_with([]), [], None).exact is True


def test_an_answer_that_blows_up_the_window_is_not_aligned() -> None:
    calls = [call(pos, WINDOW[pos - 1], WINDOW[pos - 1] + "ACGT" * 10_000, kind="INS") for pos in (2, 6, 15)]
    read = read_with([SNV])
    long = read._replace(ref_seq=read.ref_seq * 20, seq=read.seq * 20)
    assert score_read(long, calls, None).residual_edits == 120_000 + len(long.ref_seq)


def test_without_the_search_only_equal_alleles_match() -> None:
    truth = [Variant(5, "AC", "GT", "MNV", "mnv")]
    score = score_read(read_with(truth), [call(5, "A", "G"), call(6, "C", "T")], None, max_states=0)
    assert [(row.match, row.type) for row in score.rows] == [("FN", "MNV"), ("FP", "MNV")]
    assert score.capped is False
    capped = score_read(read_with([*truth, SNV._replace(pos=20)]), [call(5, "A", "G"), call(6, "C", "T")], None, max_states=1)
    assert capped.capped is True
    assert [row.match for row in capped.rows] == ["FN", "FN", "FP"]


def synthetic(count: int, **mutation: object) -> list[Read]:
    source = SyntheticSource(Config.model_validate({"source": {"count": count, "batch_size": 500, "mutation": mutation}}))
    return [read for index in range(-(-count // 500)) for read in source.block(index).rows()]  # type: ignore[union-attr]


def as_it_is(_: random.Random, read: Read, variant: Variant) -> list[Allele]:
    return [variant[:3]]


def split(_: random.Random, read: Read, variant: Variant) -> list[Allele]:
    """An MNV (an inversion is one too) as its single substitutions."""
    if variant.type != "MNV":
        return [variant[:3]]
    pairs = enumerate(zip(variant.ref, variant.alt, strict=True), start=variant.pos)
    return [(pos, old, new) for pos, (old, new) in pairs if old != new]


def moved_right(_: random.Random, read: Read, variant: Variant) -> list[Allele]:
    """An indel at the rightmost of its places: not in normal form wherever it has more than one."""
    pos, ref, alt = variant[:3]
    if variant.type not in ("INS", "DEL"):
        return [(pos, ref, alt)]
    window, changed, at = read.ref_seq, (ref if variant.type == "DEL" else alt)[1:], pos
    width = len(changed) if variant.type == "DEL" else 0
    while at + width < len(window) and window[at + width] == changed[0]:
        changed, at = changed[1:] + changed[0], at + 1
    anchor = window[at - 1]
    return [(at, anchor + changed, anchor) if variant.type == "DEL" else (at, anchor, anchor + changed)]


def as_a_copy(_: random.Random, read: Read, variant: Variant) -> list[Allele]:
    """A duplication as the insertion of its second copy, behind the first one."""
    if variant.event != "dup":
        return [variant[:3]]
    copy = variant.alt[1:]
    after = variant.pos + len(copy)
    if read.ref_seq[variant.pos : after] != copy:
        return [variant[:3]]
    anchor = read.ref_seq[after - 1]
    return [(after, anchor, anchor + copy)]


Writer = Callable[[random.Random, Read, Variant], list[Allele]]


@pytest.mark.parametrize("preset", ["bench", "human", "wgsim"])
@pytest.mark.parametrize("write", [as_it_is, split, moved_right, as_a_copy])
def test_truth_in_any_representation_scores_one(preset: str, write: Writer) -> None:
    rng = random.Random(1)
    rewritten = 0
    for read in synthetic(1500, preset=preset):
        assert read.truth is not None
        written = [allele for variant in read.truth for allele in write(rng, read, variant)]
        rewritten += written != [variant[:3] for variant in read.truth]
        rng.shuffle(written)
        calls = judge_calls([RawCall(*allele, 0.5) for allele in written], read.ref_seq)
        score = score_read(read, calls, None)
        assert score.exact is True, (read, written)
        rows = [row for row in score.rows if row.side != "error"]
        assert {row.match for row in rows} <= {"TP"}
        assert len(rows) == len(read.truth) + len(calls)
        assert {row.confidence for row in rows} <= {0.5}
    assert rewritten > 100 or preset != "bench" or write is as_it_is


def test_swapping_truth_and_calls_swaps_false_positives_and_false_negatives() -> None:
    rng = random.Random(2)
    uneven = 0
    for read in synthetic(2000, preset="bench", min_gap=1):
        assert read.truth is not None
        kept = [variant for variant in read.truth if rng.random() < 0.7]
        extra = [
            RawCall(pos, read.ref_seq[pos - 1], "ACGT".replace(read.ref_seq[pos - 1], "")[0], 1.0) for pos in rng.sample(range(1, 150), 2)
        ]
        judged = judge_calls([*(RawCall(*variant[:3], 1.0) for variant in kept), *extra], read.ref_seq)
        calls = [item for item in judged if item.outcome == "ok"]
        backwards = read._replace(truth=tuple(Variant(*item[:3], item.type or "SNV", "snv") for item in calls), errors=())
        there = score_read(read, calls, None).rows
        back = score_read(backwards, [JudgedCall(*v[:3], None, "ok", v.type) for v in read.truth], None).rows
        counts, swapped = (
            [sum(changed(row) for row in rows if (row.side, row.match) == key) for key in keys]
            for rows, keys in ((there, KEYS), (back, SWAPPED))
        )
        assert counts == swapped
        uneven += counts[1] != counts[3]
    assert uneven > 100


def changed(row: ScoredVariant) -> int:
    """False substitutions that touch are one call: so by bases."""
    return len(row.ref) if row.type in ("SNV", "MNV") else 1


KEYS = (("truth", "TP"), ("truth", "FN"), ("call", "TP"), ("call", "FP"))
SWAPPED = (("call", "TP"), ("call", "FP"), ("truth", "TP"), ("truth", "FN"))


def test_calls_that_count_in_the_read_are_a_class_of_their_own() -> None:
    deletion, later, last = Variant(2, "CG", "C", "DEL", "del"), Variant(10, "T", "A", "SNV", "snv"), Variant(20, "A", "C", "SNV", "snv")
    read = read_with([deletion, later, last])

    def reasons(*calls: Allele) -> list[bool]:
        rows = score_read(read, judge_calls([RawCall(*each, 0.9) for each in calls], WINDOW), None).rows
        return [(row.reason or "").endswith(IN_THE_READ) for row in rows if row.side == "call"]

    assert reasons(deletion[:3], (9, "T", "A"), (19, "A", "C")) == [False, True, True], "whether or not the window has the base there"
    assert reasons(deletion[:3], (9, "T", "C"), (18, "A", "C")) == [False, False, False]
    assert reasons(later[:3], (19, "A", "C")) == [False, True], "whether or not the deletion was seen"
    assert reasons(deletion[:3], later[:3], last[:3]) == [False, False, False]
