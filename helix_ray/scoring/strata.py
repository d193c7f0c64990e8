"""The dimensions by which counts are broken down: levels of a variant, of its place and of its read.

Places are those of GIAB's stratifications (Dwarshuis et al. 2024, doi:10.1038/s41467-024-53260-y): the length of the homopolymer that the
variant touches, whether it lies in a low-complexity region or within 5 bases of one, and the GC content of the 50 bases to either side,
as far as the window goes.

Every dimension but ``event`` divides all counts, so its levels add up to the totals. A call has no event: there the truth's side
alone is counted.
"""

from __future__ import annotations

import re
from functools import lru_cache

from helix_ray.records import Read, ScoredVariant
from helix_ray.scoring.variants import trim

NOT_A_VARIANT = "INVALID"
"""The type under which a call is counted whose alleles are not a variant."""

DIMENSIONS = ("type", "subtype", "event", "n_truth", "length", "gc", "homopolymer", "third", "identifiable", "low_complexity")

PLACES = ("gc", "homopolymer", "low_complexity")

AROUND, SLOP = 50, 5
"""Bases to either side of a variant whose GC content counts, and within which a low-complexity region is its own."""

OUTSIDE = "outside"
"""The level of a call that does not lie in its window."""

_LOW_COMPLEXITY = re.compile(r"(.)\1{6}|((.).)\2{4}\3|(...)\4{4}|(....)\5{4}")  # GIAB: over 6, 11, 15 and 20 bases
_RUN = re.compile(r"(.)\1*")
_REACH = SLOP + 20  # bases at which the shortest of these may begin

_TRANSITIONS = frozenset({("A", "G"), ("G", "A"), ("C", "T"), ("T", "C")})
_INDELS = {"INS": "I", "DEL": "D", "DELINS": "C"}

Level = tuple[str, str]
"""(dimension, level)"""


def read_levels(read: Read) -> tuple[Level, ...]:
    """The levels that all variants of a read share. What its source does not know is ``unknown``."""
    return _levels(len(read.truth or ()), len(read.ref_seq), read.identifiable)


@lru_cache(maxsize=4096)
def _levels(truths: int, length: int, identifiable: bool | None) -> tuple[Level, ...]:
    """Cached, since many reads share their levels: formatting them for each read would cost more than counting."""
    return (
        ("n_truth", str(truths) if truths < 4 else "4+"),
        ("length", _bin(length, (75, 150, 300))),
        ("identifiable", {True: "yes", False: "no", None: "unknown"}[identifiable]),
    )


def variant_levels(row: ScoredVariant, window: str) -> tuple[Level, ...]:
    """The levels of the variant itself and of its place. Its third is that of its position, 1 to 3 from the left."""
    kind = row.type or NOT_A_VARIANT
    third = str((row.pos - 1) * 3 // len(window) + 1) if 1 <= row.pos <= len(window) else OUTSIDE
    return (*_own_levels(kind, subtype(row.type, row.ref, row.alt), third, row.event), *place_levels(row.pos, row.ref, row.alt, window))


@lru_cache(maxsize=4096)
def _own_levels(kind: str, of_type: str, third: str, event: str | None) -> tuple[Level, ...]:
    own = (("type", kind), ("subtype", of_type), ("third", third))
    return own if event is None else (*own, ("event", event))


@lru_cache(maxsize=1024)
def place_levels(pos: int, ref: str, alt: str, window: str) -> tuple[Level, ...]:
    """The levels of a place: ``gc``, ``homopolymer``, ``low_complexity``. Cached, since calls and truths stand in the same places."""
    at, changed, _ = trim(pos, ref, alt)
    start, end = at - 1, at - 1 + len(changed)
    if not 1 <= pos <= len(window):
        return tuple((name, OUTSIDE) for name in PLACES)
    around = window[max(0, start - AROUND) : end + AROUND]
    tenth = min(10 * (around.count("G") + around.count("C")) // len(around), 9)
    first = max(0, start - _REACH)
    near, low, high = window[first : end + _REACH], start - first, end - first
    run = max(at.end() - at.start() for at in _RUN.finditer(near) if at.start() <= high and at.end() >= low)
    simple = any(at.start() < high + SLOP and at.end() > low - SLOP for at in _LOW_COMPLEXITY.finditer(near))
    return tuple(zip(PLACES, (f"{tenth / 10:.1f}-{tenth / 10 + 0.1:.1f}", _bin(run, (4, 6, 10)), "yes" if simple else "no"), strict=True))


@lru_cache(maxsize=4096)
def subtype(kind: str | None, ref: str, alt: str) -> str:
    """hap.py's subtypes: ti and tv, I, D and C (both at once) by length in bases; MNV stays one."""
    _, old, new = trim(1, ref, alt)
    if kind == "SNV":
        return "ti" if (old, new) in _TRANSITIONS else "tv"
    if kind in _INDELS:
        length = max(len(old), len(new))
        return _INDELS[kind] + ("1_5" if length <= 5 else "6_15" if length <= 15 else "16_PLUS")
    return kind or NOT_A_VARIANT


def _bin(value: int, tops: tuple[int, ...]) -> str:
    low = 1
    for top in tops:
        if value <= top:
            return f"{low}-{top}"
        low = top + 1
    return f"{low}+"
