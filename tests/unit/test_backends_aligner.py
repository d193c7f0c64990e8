from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from helix_ray.backends.aligner import align_calls

WINDOW = "CCGAAAAAGTACGT"


def test_an_equal_read_has_no_calls() -> None:
    assert align_calls(WINDOW, WINDOW) == []


def test_each_mismatch_of_an_equally_long_read_is_an_snv() -> None:
    assert align_calls("ACGTACGT", "ACCTACGA") == [(3, "G", "C"), (8, "T", "A")]


def test_one_indel_is_left_aligned() -> None:
    assert align_calls(WINDOW, "CCGAAAAGTACGT") == [(3, "GA", "G")]
    assert align_calls(WINDOW, "CCGAAAAAAGTACGT") == [(3, "G", "GA")]
    assert align_calls(WINDOW, "GAAAAAGTACGT") == [(1, "CCG", "G")]
    assert align_calls("ACGT", "ACTTTT") == [(3, "G", "TTT")]


def test_nothing_to_compare() -> None:
    assert align_calls("", "ACGT") == []
    assert align_calls("ACGT", "") == []


@given(st.text("ACGT", min_size=1, max_size=30), st.text("ACGT", min_size=1, max_size=30))
def test_the_calls_rebuild_the_read(ref_seq: str, seq: str) -> None:
    rebuilt = ref_seq
    for pos, ref, alt in reversed(align_calls(ref_seq, seq)):
        assert rebuilt[pos - 1 : pos - 1 + len(ref)] == ref
        rebuilt = rebuilt[: pos - 1] + alt + rebuilt[pos - 1 + len(ref) :]
    assert rebuilt == seq


def test_an_n_differs_from_nothing() -> None:
    assert align_calls("ACGTACGT", "ACNTACGA") == [(8, "T", "A")]
    assert align_calls("ACNTACGT", "ACGTACGT") == []
    assert align_calls("ACGTTGCATT", "ANGTTATN") == [(5, "TGC", "T")]
