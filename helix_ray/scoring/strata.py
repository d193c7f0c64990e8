"""The dimensions by which counts are broken down: levels of a variant and of its read.

Every dimension but ``event`` divides all counts, so its levels add up to the totals. A call has no event: there the truth's side
alone is counted.
"""

from __future__ import annotations

from functools import lru_cache

from helix_ray.records import Read, ScoredVariant
from helix_ray.scoring.variants import trim

NOT_A_VARIANT = "INVALID"
"""The type under which a call is counted whose alleles are not a variant."""

DIMENSIONS = ("type", "subtype", "event", "n_truth", "length", "gc", "homopolymer", "third", "identifiable")

_TRANSITIONS = frozenset({("A", "G"), ("G", "A"), ("C", "T"), ("T", "C")})
_INDELS = {"INS": "I", "DEL": "D", "DELINS": "C"}

Level = tuple[str, str]
"""(dimension, level)"""


def read_levels(read: Read) -> tuple[Level, ...]:
    """The levels that all variants of a read share. Strata that its source does not know are ``unknown``."""
    strata = read.strata or {}
    gc, run = strata.get("gc"), strata.get("max_homopolymer")
    tenth = None if gc is None else min(int(gc * 10), 9)
    return _levels(len(read.truth or ()), len(read.ref_seq), tenth, None if run is None else int(run), read.identifiable)


@lru_cache(maxsize=4096)
def _levels(truths: int, length: int, tenth: int | None, run: int | None, identifiable: bool | None) -> tuple[Level, ...]:
    """Cached, since many reads share their levels: formatting them for each read would cost more than counting."""
    return (
        ("n_truth", str(truths) if truths < 4 else "4+"),
        ("length", _bin(length, (75, 150, 300))),
        ("gc", "unknown" if tenth is None else f"{tenth / 10:.1f}-{tenth / 10 + 0.1:.1f}"),
        ("homopolymer", "unknown" if run is None else _bin(run, (4, 6, 10))),
        ("identifiable", {True: "yes", False: "no", None: "unknown"}[identifiable]),
    )


def variant_levels(row: ScoredVariant, window: int) -> tuple[Level, ...]:
    """The levels of the variant itself; ``window``: bases. Its third is that of its position, 1 to 3 from the left."""
    kind = row.type or NOT_A_VARIANT
    third = str((row.pos - 1) * 3 // window + 1) if 1 <= row.pos <= window else "outside"
    return _own_levels(kind, subtype(row.type, row.ref, row.alt), third, row.event)


@lru_cache(maxsize=4096)
def _own_levels(kind: str, of_type: str, third: str, event: str | None) -> tuple[Level, ...]:
    own = (("type", kind), ("subtype", of_type), ("third", third))
    return own if event is None else (*own, ("event", event))


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
