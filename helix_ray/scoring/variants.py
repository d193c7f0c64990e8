"""What a variant is: its type, its normal form, the bases that it touches. Positions are 1-based in the window, as in VCF."""

from __future__ import annotations

from typing import NamedTuple

from helix_ray.native import rust


class JudgedCall(NamedTuple):
    """A call that was checked against the reference window.

    With ``outcome`` ok the alleles are in normal form (left-aligned, parsimonious) wherever that spells the same sequence together with
    the read's other calls; otherwise they stand as they came.
    """

    pos: int
    ref: str
    alt: str
    confidence: float | None  # 0..1
    outcome: str  # ok | ref_mismatch | out_of_range | bad_base | ref_equals_alt | overlap | duplicate
    type: str | None  # SNV | MNV | INS | DEL | DELINS; None when the alleles are not a variant
    reason: str | None = None  # in words, when the outcome is not ok


def variant_type(ref: str, alt: str) -> str | None:
    """The type as a function of the alleles alone, whatever event made them; None when they are equal."""
    return rust.normalize(ref, 1, ref, alt)[3]


def trim(pos: int, ref: str, alt: str) -> tuple[int, str, str]:
    """The alleles without the bases that they share at their ends; either may come back empty."""
    end, shortest = 0, min(len(ref), len(alt))
    while end < shortest and ref[-1 - end] == alt[-1 - end]:
        end += 1
    ref, alt = ref[: len(ref) - end], alt[: len(alt) - end]
    start, shortest = 0, min(len(ref), len(alt))
    while start < shortest and ref[start] == alt[start]:
        start += 1
    return pos + start, ref[start:], alt[start:]


def normalise(pos: int, ref: str, alt: str, window: str) -> tuple[int, str, str]:
    """Left-aligned and parsimonious (Tan, Abecasis & Kang 2015, doi:10.1093/bioinformatics/btv112).

    ``ref`` must be what ``window`` holds at ``pos`` (else ValueError), and differ from ``alt``. An indel that reaches the window's
    first base is anchored on the base after it, as VCF asks. The generator's truth went through the same code.
    """
    return rust.normalize(window, pos, ref, alt)[:3]


def footprint(pos: int, ref: str, alt: str) -> tuple[int, int]:
    """The reference bases that change, half-open; an insertion has an empty footprint before the base that follows it."""
    start, ref, _ = trim(pos, ref, alt)
    return start, start + len(ref)


def collide(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two footprints cannot both be applied: they share a base, or both insert at the same place."""
    return (a[0] < b[1] and b[0] < a[1]) or (a == b and a[0] == a[1])
