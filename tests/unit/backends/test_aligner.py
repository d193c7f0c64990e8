from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.backends.aligner import align_calls
from helix_ray.config.mutation import MutationConfig, Preset
from helix_ray.errors import StartError
from helix_ray.native import Missing
from support.alignment import align
from support.identifiable import PRESETS, agreement, applied, same

WINDOW = "CCGAAAAAGTACGT"


def calls(window: str, read: str) -> list[Sequence[object]]:
    return [tuple(call) for call in align([window], [read])[0].calls]


def test_an_equal_read_has_no_calls() -> None:
    assert align([WINDOW], [WINDOW]) == [(0, [])]
    assert align_calls(WINDOW, WINDOW) == []
    assert align([], []) == []


def test_each_type_has_its_cost() -> None:
    cases = {
        "CCGAAAAAGTTCGT": (4, (11, "A", "T", "SNV")),
        "CCGAAAAACCACGT": (8, (9, "GT", "CC", "MNV")),
        "CCGAAAAGTACGT": (8, (3, "GA", "G", "DEL")),
        "CCGAAAAAAGTACGT": (8, (3, "G", "GA", "INS")),
        "GAAAAAGTACGT": (10, (1, "CCG", "G", "DEL")),
        "TTTCCGAAAAAGTACGT": (12, (1, "C", "TTTC", "INS")),
    }
    for read, (score, call) in cases.items():
        assert align([WINDOW], [read]) == [(score, [call])]
        assert align_calls(WINDOW, read) == [call[:3]]


def test_adjacent_substitutions_are_one_call_and_a_gap_beside_them_another() -> None:
    assert calls("ACGTACGT", "ACTAACGT") == [(3, "GT", "TA", "MNV")]
    assert calls("ACGTACGT", "ACCTACGA") == [(3, "G", "C", "SNV"), (8, "T", "A", "SNV")]
    assert calls("ACGT", "ACTTTT") == [(2, "C", "CTT", "INS"), (3, "G", "T", "SNV")]
    assert calls("GATTACAGAT", "GATGAGAT") == [(3, "TTA", "T", "DEL"), (6, "C", "G", "SNV")]


def test_an_inversion_is_one_call() -> None:
    left, right = "CCATTCAGGATC", "GACCAGGTACAA"
    for inverted in ("GTTAAA", "AACTTAAC", "CAGTAATTACT", "TTATCATGTTG"):
        result = inverted[::-1].translate(str.maketrans("ACGT", "TGCA"))
        assert calls(left + inverted + right, left + result + right) == [(13, inverted, result, "MNV")]


def test_two_at_the_first_base_are_one_call() -> None:
    # An insertion there is anchored on the base after it, and that one is substituted.
    assert calls("CTTTTG", "ATTTTTG") == [(1, "C", "AT", "DELINS")]
    assert calls("CTTTTG", "AACTTTTG") == [(1, "C", "AAC", "INS")]


def test_nothing_to_anchor_on() -> None:
    assert align(["", "ACGT", ""], ["ACGT", "", ""]) == [(14, []), (14, []), (0, [])]


def test_an_n_differs_from_nothing() -> None:
    assert align_calls("ACGTACGT", "ACNTACGA") == [(8, "T", "A")]
    assert align(["ACNTACGT"], ["ACGTACGT"]) == [(0, [])]
    assert align_calls("ACGTTGCATT", "ANGTTATN") == [(5, "TGC", "T")]
    assert align(["ACGT"], ["NNNN"]) == [(0, [])]


def test_another_code_is_equal_to_itself_only() -> None:
    assert align(["ARGT", "ARGT"], ["ARGT", "AAGT"]) == [(0, []), (4, [(2, "R", "A", "SNV")])]


@pytest.mark.parametrize(
    ("windows", "reads", "message"),
    [
        (["A"], [], "as many reads as windows, found 0 and 1"),
        (["ACGT", "ACGT"], ["ACGT", "ACgT"], r"reads\[1\]: base 3: not an upper-case IUPAC code"),
        (["AC-T"], ["ACGT"], r"windows\[0\]: base 3"),
        (["ACGT"], ["ACGÉ"], r"reads\[0\]: base 4"),
    ],
)
def test_what_cannot_be_aligned_is_said(windows: list[str], reads: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        align(windows, reads)


def test_without_the_extension_it_is_a_start_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helix_ray.scoring.variants.rust", Missing(ImportError("not there")))
    with pytest.raises(StartError, match="not built"):
        align_calls(WINDOW, "ACGT")


def test_long_reads() -> None:
    window = "ACGGTCATTGCA" * 834
    read = window[:5000] + "C" + window[5001:9000] + window[9003:]
    (found,) = align([window], [read])
    assert (found.score, len(found.calls)) == (16, 2)


def test_a_read_that_has_nothing_of_its_window() -> None:
    assert align(["A" * 1000], ["C" * 990]) == [(4 * 990 + 26, [(1, "A" * 1000, "C" * 990, "DELINS")])]


@given(st.text("ACGT", min_size=1, max_size=30), st.text("ACGTN", min_size=1, max_size=30))
def test_the_calls_rebuild_the_read(ref_seq: str, seq: str) -> None:
    assert same(applied(ref_seq, align_calls(ref_seq, seq)), seq)


@pytest.mark.parametrize("preset", PRESETS)
def test_where_the_generator_says_identifiable_the_truth_is_found(preset: Preset) -> None:
    """2,000 of the records of benchmarks/check_identifiable.py, which takes 100,000."""
    found = agreement(MutationConfig(preset=preset), 2000)
    assert found.identifiable == 2000
    assert found.enough(preset), found
