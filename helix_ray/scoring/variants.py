"""What a variant is: its type, the edit that it makes of its window, and the sequence that several of them spell."""

from __future__ import annotations

from collections.abc import Iterable
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
    outcome: str  # ok | ref_mismatch | out_of_range | bad_base | ref_equals_alt | ambiguous | overlap | duplicate
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


def collide(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two edits (start, end) cannot both be applied: they share a base, or both insert at the same place."""
    return (a[0] < b[1] and b[0] < a[1]) or (a == b and a[0] == a[1])


def differences(ref_seq: str, seq: str) -> list[tuple[int, str, str, str]]:
    """(pos, ref, alt, type) of every difference, by the exact alignment; ValueError as `align_calls`."""
    if ref_seq == seq:
        return []
    _, (calls,) = rust.align([ref_seq], [seq])
    return calls


class Edit(NamedTuple):
    """Window bases ``start`` to ``end`` (0-based, half-open, empty for an insertion) are replaced by ``added``."""

    start: int
    end: int
    added: str


def edit(pos: int, ref: str, alt: str) -> Edit:
    """The edit of a variant in VCF form; ``pos`` is 1-based."""
    pos, ref, alt = trim(pos, ref, alt)
    return Edit(pos - 1, pos - 1 + len(ref), alt)


def edits(variants: Iterable[tuple[int, str, str]]) -> list[Edit]:
    """The edits of (pos, ref, alt), in the order in which they stand in the window."""
    return sorted(edit(*variant) for variant in variants)


def apply(window: str, sorted_edits: Iterable[Edit]) -> str | None:
    """The sequence that the edits make of the window; None when two of them touch the same bases."""
    pieces: list[str] = []
    done = 0
    for start, end, added in sorted_edits:
        if start < done:
            return None
        pieces += (window[done:start], added)
        done = end
    pieces.append(window[done:])
    return "".join(pieces)
