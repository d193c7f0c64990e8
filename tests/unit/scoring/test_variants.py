import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.config import Config
from helix_ray.native import rust
from helix_ray.scoring.variants import collide, edit, trim, variant_type
from helix_ray.sources import make_source


def normalise(pos: int, ref: str, alt: str, window: str) -> tuple[int, str, str]:
    return rust.normalize(window, pos, ref, alt)[:3]


def apply(window: str, pos: int, ref: str, alt: str) -> str:
    assert window[pos - 1 : pos - 1 + len(ref)] == ref
    return window[: pos - 1] + alt + window[pos - 1 + len(ref) :]


@pytest.mark.parametrize(
    ("ref", "alt", "kind"),
    [
        ("A", "G", "SNV"),
        ("AC", "GT", "MNV"),
        ("ACC", "GCT", "MNV"),
        ("AC", "AT", "SNV"),
        ("A", "ACC", "INS"),
        ("CA", "CCA", "INS"),
        ("ACC", "A", "DEL"),
        ("ACG", "TT", "DELINS"),
        ("A", "A", None),
        ("ACGT", "ACGT", None),
    ],
)
def test_the_type_follows_from_the_alleles(ref: str, alt: str, kind: str | None) -> None:
    assert variant_type(ref, alt) == kind


@pytest.mark.parametrize(
    ("given_form", "normal_form"),
    [
        ((6, "A", "G"), (6, "A", "G")),
        ((7, "AA", "A"), (3, "GA", "G")),  # one A fewer in a run of five slides to its left end
        ((8, "A", "AA"), (3, "G", "GA")),
        ((7, "AAG", "TAG"), (7, "A", "T")),
        ((1, "CC", "C"), (1, "CC", "C")),  # reaches the window's first base: anchored on the base after
        ((2, "C", "CC"), (1, "C", "CC")),
        ((9, "GT", "G"), (9, "GT", "G")),
        ((10, "T", "TA"), (10, "T", "TA")),
        ((4, "AAAAA", "CA"), (4, "AAAA", "C")),
    ],
)
def test_normal_form(given_form: tuple[int, str, str], normal_form: tuple[int, str, str]) -> None:
    window = "CCGAAAAAGT"
    assert apply(window, *given_form) == apply(window, *normal_form)
    assert normalise(*given_form, window) == normal_form


@given(st.data())
def test_normalising_keeps_the_read_and_is_idempotent(data: st.DataObject) -> None:
    window = data.draw(st.text("AC", min_size=2, max_size=14))
    start = data.draw(st.integers(1, len(window)))
    end = data.draw(st.integers(start, len(window)))
    ref = window[start - 1 : end]
    alt = data.draw(st.text("AC", min_size=1, max_size=6).filter(lambda text: text != ref))
    form = normalise(start, ref, alt, window)
    assert apply(window, *form) == apply(window, start, ref, alt)
    assert normalise(*form, window) == form
    assert form[1]
    assert form[2]


@given(st.text("ACG", min_size=4, max_size=16), st.integers(1, 3), st.integers(0, 12))
def test_equal_deletions_have_one_form(window: str, length: int, at: int) -> None:
    """Every deletion of ``length`` bases that leaves the same read has the same normal form."""
    forms: dict[str, set[tuple[int, str, str]]] = {}
    for start in range(1, len(window) - length):
        form = normalise(start, window[start - 1 : start + length], window[start - 1], window)
        forms.setdefault(window[:start] + window[start + length :], set()).add(form)
    assert all(len(same) == 1 for same in forms.values())


def test_spans_of_edits() -> None:
    assert edit(5, "A", "G")[:2] == (4, 5)
    assert edit(5, "ACC", "A")[:2] == (5, 7)
    assert edit(5, "A", "ACC")[:2] == (5, 5)
    assert trim(1, "ACA", "AA") == (2, "C", "")
    assert collide((5, 6), (5, 6))
    assert collide((6, 6), (6, 6))
    assert collide((6, 6), (5, 8))
    assert not collide((5, 6), (6, 6))
    assert not collide((6, 6), (6, 8))
    assert not collide((5, 6), (6, 7))


def test_alleles_that_the_window_does_not_hold_have_no_normal_form() -> None:
    with pytest.raises(ValueError, match=r"the window holds 'C' at 2"):
        normalise(2, "A", "T", "ACGT")


def test_truth_is_in_normal_form() -> None:
    """The generator and the judge of calls normalise by the same code."""
    block = make_source(Config()).block(0)
    assert block is not None
    for read in block.rows():
        for variant in read.truth or ():
            assert (*normalise(*variant[:3], read.ref_seq), variant_type(variant.ref, variant.alt)) == variant[:4]
