import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.prompts import get_prompt
from helix_ray.analysis.prompts.layouts import gapped, grouped10, indexed10, paired, spaced
from helix_ray.analysis.prompts.text import WORKED, WORKED_2, WorkedExample, excerpt
from helix_ray.analysis.read_answer import RawCall
from helix_ray.config.mutation import MutationConfig


def test_groups_carry_the_position_of_their_first_base() -> None:
    assert (indexed10(""), grouped10(""), spaced("")) == ("", "", "")
    assert indexed10("A" * 21) == "1:AAAAAAAAAA 11:AAAAAAAAAA 21:A"
    assert grouped10("C" * 20) == "CCCCCCCCCC CCCCCCCCCC"


def test_of_a_pair_the_longer_goes_on_alone() -> None:
    head, *lines = paired("A" * 21, "C" * 10).split("\n")
    assert head == "reference and read (21 and 10 bases):"
    assert lines == ["ref 1:AAAAAAAAAA", "read 1:CCCCCCCCCC", "ref 11:AAAAAAAAAA", "ref 21:A"]
    assert paired("A", "C" * 11).split("\n")[1:] == ["ref 1:A", "read 1:CCCCCCCCCC", "read 11:C"]


@pytest.mark.parametrize(
    ("ref_seq", "seq", "rows"),
    [
        ("ACGT", "ACGT", ("ACGT", "ACGT")),
        ("ACGTTGCATG", "ACGTTCCATG", ("ACGTTGCATG", "ACGTTCCATG")),
        ("GATTCAGCCGTATGACTCGG", "GATTCACGTATGACTCGG", ("GATTCAGCCGTATGACTCGG", "GATTCA--CGTATGACTCGG")),
        ("GATTCACGTATGACTCGG", "CTGATTCACGTATGACTCGG", ("--GATTCACGTATGACTCGG", "CTGATTCACGTATGACTCGG")),
        ("CTGATTCACGTATGACTCGG", "GATTCACGTATGACTCGG", ("CTGATTCACGTATGACTCGG", "--GATTCACGTATGACTCGG")),
        ("ACGTTGCATG", "ACNTTGCATG", ("ACGTTGCATG", "ACNTTGCATG")),
        ("ACGT", "", ("ACGT", "----")),
        ("ACGT", "AC?", ("ACGT", "AC?-")),
        ("", "", ("", "")),
    ],
)
def test_the_gapped_pair(ref_seq: str, seq: str, rows: tuple[str, str]) -> None:
    assert gapped(ref_seq, seq) == rows


def check(ref_seq: str, seq: str) -> None:
    ref_row, read_row = gapped(ref_seq, seq)
    assert len(ref_row) == len(read_row)
    assert (ref_row.replace("-", ""), read_row.replace("-", "")) == (ref_seq, seq)
    assert ("-", "-") not in zip(ref_row, read_row, strict=True)


@given(st.text("ACGT", max_size=40), st.text("ACGTN", max_size=40))
def test_without_its_gaps_a_row_is_its_sequence(ref_seq: str, seq: str) -> None:
    check(ref_seq, seq)


@given(st.text("AC", min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_also_in_repeats_and_with_a_few_differences(ref_seq: str, rng: random.Random) -> None:
    bases = [rng.choices((base, "", base + rng.choice("ACGT"), rng.choice("ACGTN")), (17, 1, 1, 1))[0] for base in ref_seq]
    check(ref_seq, "".join(bases))


@pytest.mark.parametrize("example", [*WORKED, *WORKED_2[1:]], ids=lambda example: example.ask.opaque_id)
def test_a_worked_example_is_right_in_both_forms(example: WorkedExample) -> None:
    window, rebuilt = example.ask.ref_seq, example.ask.ref_seq
    placed = [RawCall(None, *excerpt(window, *call), 0.99) for call in example.calls]
    assert all(len(call.ref) >= 10 and call.alt in example.ask.seq for call in placed)
    for calls in ([RawCall(*call, 0.99) for call in example.calls], placed):
        judged = judge_calls(calls, window)
        assert [(call.pos, call.ref, call.alt, call.outcome) for call in judged] == [(*call, "ok") for call in example.calls]
    for pos, ref, alt in reversed(example.calls):
        rebuilt = rebuilt[: pos - 1] + alt + rebuilt[pos - 1 + len(ref) :]
    assert rebuilt == example.ask.seq


def test_no_worked_example_is_ever_generated_and_the_first_has_no_mutation() -> None:
    with pytest.raises(ValueError, match="30"):
        MutationConfig(read_length=29)
    assert all(len(example.ask.ref_seq) < 30 for example in WORKED_2[:3])
    assert WORKED_2[3].ask.ref_seq not in WORKED_2[3].ask.seq  # longer, and the only one that chance would have to make
    assert WORKED[0].calls == ()
    assert all(example.calls for example in WORKED[1:])


def test_examples_are_added_one_by_one_and_packed_into_one_request() -> None:
    for examples in range(4):
        alone = get_prompt("raw", examples=examples, work=True).system
        packed = get_prompt("raw", examples=examples, reads_per_request=2, work=True).system
        for number, example in enumerate(WORKED):
            for text in (alone, packed):
                assert (f"id: {example.ask.opaque_id}\n" in text) == (example.work in text) == (number < examples)
        assert alone.count("Answer: {") == examples
        assert packed.count("Answer: {") == min(examples, 1)
