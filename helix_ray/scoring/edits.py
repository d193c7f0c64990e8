"""Variants as edits of a window, and the sequence that a set of them makes of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from helix_ray.scoring.variants import trim


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
