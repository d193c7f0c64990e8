"""Mistakes of a model, and how near they are to a truth.

A missed truth and the nearest wrong call within `REACH` bases are a pair: at offset 0 with other alleles, else shifted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from helix_ray.records import Variant
from helix_ray.scoring.summary import Rate, rate
from helix_ray.scoring.tally import Counts

REACH = 5
"""Bases. A call further than this from every missed truth is invented."""

Mistake = tuple[str, int | None]
"""The ``detail`` of a row and its ``off_by``, as in `ScoredVariant`."""


class NearbyPair(NamedTuple):
    """A wrong call and the missed truth that it was probably meant to be."""

    truth: int  # index
    call: int  # index
    mistake: Mistake  # allele | near, and the call's position minus the truth's, -REACH..REACH


def pair_nearby(missed: Sequence[int], wrong: Sequence[int]) -> list[NearbyPair]:
    """Positions of missed truths and of wrong calls, in pairs: the nearest first, each at most once; of equals the leftmost."""
    candidates = sorted(
        (abs(at - truth_at), truth_at, at, truth, call)
        for truth, truth_at in enumerate(missed)
        for call, at in enumerate(wrong)
        if abs(at - truth_at) <= REACH
    )
    pairs: dict[int, NearbyPair] = {}  # by truth
    calls: set[int] = set()
    for _, truth_at, at, truth, call in candidates:
        if truth not in pairs and call not in calls:
            calls.add(call)
            pairs[truth] = NearbyPair(truth, call, ("allele" if at == truth_at else "near", at - truth_at))
    return list(pairs.values())


def moved(truth: Sequence[Variant], missed: Sequence[int]) -> set[tuple[int, str, str]]:
    """The missed truths as one would call them who counts in the read: moved by the insertions and deletions before them. Those that
    nothing moves are left out.
    """
    found, by, names = set[tuple[int, str, str]](), 0, {truth[index][:3] for index in missed}
    for pos, ref, alt in sorted(variant[:3] for variant in truth):
        if by and (pos, ref, alt) in names:
            found.add((pos + by, ref, alt))
        by += len(alt) - len(ref)
    return found


MISTAKES = {
    "missed": "variants with no call near them",
    "misplaced": f"variants called 1 to {REACH} bases off",
    "misnamed": "right place, other alleles",
    "invented": "reads with an invented call",
    "misread": "calls that are sequencing errors",
    "renumbered": "reads with a call right by the read's numbering",
}
"""The rates of `mistake_rates`, as shown to users."""


def mistake_rates(counts: Counts, invented: int, answered: int, renumbered: int) -> dict[str, Rate]:
    """Rates by the keys of `MISTAKES`, with 95 % Jeffreys intervals, of the counts over all types.

    ``invented``: of the ``answered`` reads, those with a call that no truth and no sequencing error is near to; ``renumbered``: those
    with a wrong call that would be right if positions counted the read's bases, whatever else it is. Reads without an answer are left
    out, since they show nothing about the model.
    """
    truths = counts.tp + counts.fn - counts.fn_failed
    missed = counts.fn - counts.fn_failed - counts.fn_near - counts.fn_allele
    return {
        "missed": rate(missed, truths),
        "misplaced": rate(counts.fn_near, truths),
        "misnamed": rate(counts.fn_allele, truths),
        "invented": rate(invented, answered),
        "misread": rate(counts.fp_error, counts.tp + counts.fp),
        "renumbered": rate(renumbered, answered),
    }
