"""Mistakes near a truth: the right place with the wrong allele, or the change seen a few bases off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

REACH = 5
"""Bases. A call further from every missed truth than this has nothing to do with one."""


class Near(NamedTuple):
    """A wrong call and the missed truth that it was probably meant to be."""

    truth: int  # index
    call: int  # index
    off_by: int  # the call's position minus the truth's, -REACH..REACH


def pair_up(missed: Sequence[int], wrong: Sequence[int]) -> list[Near]:
    """Positions of missed truths and of wrong calls, in pairs: the nearest first, each at most once; of equals the leftmost."""
    candidates = sorted(
        (abs(at - truth_at), truth_at, at, truth, call)
        for truth, truth_at in enumerate(missed)
        for call, at in enumerate(wrong)
        if abs(at - truth_at) <= REACH
    )
    truths: set[int] = set()
    calls: set[int] = set()
    pairs = []
    for _, truth_at, at, truth, call in candidates:
        if truth not in truths and call not in calls:
            truths.add(truth)
            calls.add(call)
            pairs.append(Near(truth, call, at - truth_at))
    return pairs
