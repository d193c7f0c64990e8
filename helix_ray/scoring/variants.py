"""What a variant is: its type, its normal form, the bases that it touches. Positions are 1-based in the window, as in VCF."""

from __future__ import annotations

from typing import NamedTuple


class JudgedCall(NamedTuple):
    """A call that was checked against the reference window.

    With ``outcome`` ok the alleles are in normal form (left-aligned, parsimonious); otherwise they stand as they came.
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
    if len(ref) == 1 == len(alt):
        return "SNV" if ref != alt else None
    _, ref, alt = trim(0, ref, alt)
    if not ref:
        return "INS" if alt else None
    if not alt:
        return "DEL"
    if len(ref) == len(alt):
        return "SNV" if len(ref) == 1 else "MNV"
    return "DELINS"


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

    ``ref`` must be what ``window`` holds at ``pos``, and differ from ``alt``. An indel that reaches the window's first base is
    anchored on the base after it, as VCF asks.
    """
    if len(ref) == 1 == len(alt):
        return pos, ref, alt
    pos, ref, alt = trim(pos, ref, alt)
    if ref and alt:
        return pos, ref, alt
    gap = ref or alt
    while pos > 1 and window[pos - 2] == gap[-1]:  # the base before the gap ends it too: the gap can slide one base left
        gap = gap[-1] + gap[:-1]
        pos -= 1
    if pos > 1:
        anchor = window[pos - 2]
        pos -= 1
        return (pos, anchor + gap, anchor) if ref else (pos, anchor, anchor + gap)
    anchor = window[len(gap) if ref else 0]
    return (1, gap + anchor, anchor) if ref else (1, anchor, gap + anchor)


def footprint(pos: int, ref: str, alt: str) -> tuple[int, int]:
    """The reference bases that change, half-open; an insertion has an empty footprint before the base that follows it."""
    start, ref, _ = trim(pos, ref, alt)
    return start, start + len(ref)


def collide(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two footprints cannot both be applied: they share a base, or both insert at the same place."""
    return (a[0] < b[1] and b[0] < a[1]) or (a == b and a[0] == a[1])
