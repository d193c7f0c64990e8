"""Which calls are which truths, and which are sequencing errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from helix_ray.records import Variant
from helix_ray.scoring.edits import Edit, apply, edit
from helix_ray.scoring.haplotype import match
from helix_ray.scoring.variants import JudgedCall


class Found(NamedTuple):
    """Indices of truths and calls that match each other, and of calls that are sequencing errors."""

    truths: set[int]
    calls: set[int]
    errors: set[int]
    capped: bool


def match_calls(window: str, truth: Sequence[Variant], calls: Sequence[JudgedCall], errors: Sequence[Variant], max_states: int) -> Found:
    """Valid calls against the truth; what is then left of them against the errors, and against truths and errors together."""
    if not calls or not (truth or errors):
        return Found(set(), set(), set(), False)
    if len(truth) == len(calls) and {variant[:3] for variant in truth} == {call[:3] for call in calls}:
        return Found(set(range(len(truth))), set(range(len(calls))), set(), False)  # the usual case, at a tenth of the price
    true, called, misread = _Edits(truth), _Edits(calls), _Edits(errors)
    truths, right, capped = _agree(window, true, called, max_states)
    seen: set[int] = set()
    if errors and len(right) < len(calls):
        # What is left may be errors, or a truth and an error that stand together and were called as one.
        rest = called.without(right)
        _, seen, capped_here = _agree(window, misread, rest, max_states)
        rest, missed = rest.without(seen), true.without(truths)
        capped = capped or capped_here
        if rest.order and missed.order:
            together = _Edits.joined(missed, misread)
            more, found, capped_here = _agree(window, together, rest, max_states)
            truths |= {index for index in more if index >= 0}
            right |= found
            capped = capped or capped_here
    return Found(truths, right, seen, capped)


class _Edits:
    """Variants as sorted edits that remember where they stood; joined edits of errors have the index -1."""

    def __init__(self, variants: Sequence[Variant | JudgedCall]) -> None:
        self.order = sorted((edit(*variant[:3]), index) for index, variant in enumerate(variants))

    def edits(self) -> list[Edit]:
        return [change for change, _ in self.order]

    def indices(self) -> set[int]:
        return {index for _, index in self.order}

    def without(self, indices: set[int]) -> _Edits:
        rest = _Edits(())
        rest.order = [item for item in self.order if item[1] not in indices]
        return rest

    @staticmethod
    def joined(truths: _Edits, errors: _Edits) -> _Edits:
        both = _Edits(())
        both.order = sorted([*truths.order, *((change, -1) for change, _ in errors.order)])
        return both


def _agree(window: str, one: _Edits, other: _Edits, max_states: int) -> tuple[set[int], set[int], bool]:
    """Indices of the largest subsets that spell the same sequence, and whether that was too much to find out."""
    left, right = one.edits(), other.edits()
    if max_states:
        spelled = apply(window, left)
        if left == right or (spelled is not None and spelled == apply(window, right)):
            return one.indices(), other.indices(), False
        found = match(window, left, right, max_states)
        if found is not None:
            return {one.order[i][1] for i in found.left}, {other.order[i][1] for i in found.right}, False
    shared = set(left) & set(right)
    capped = max_states > 0
    return {i for change, i in one.order if change in shared}, {i for change, i in other.order if change in shared}, capped
