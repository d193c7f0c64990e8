"""Which calls are which truths, and which are sequencing errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from helix_ray.records import Variant
from helix_ray.scoring.edits import Edit, apply, edit
from helix_ray.scoring.haplotype import match
from helix_ray.scoring.variants import JudgedCall

Keyed = tuple[Edit, int]
"""An edit and which of the variants it is; those of errors in the company of truths are counted from -1 down."""


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
    true, called = _keyed(truth), _keyed(calls)
    truths, right, capped = _agree(window, true, called, max_states)
    seen: set[int] = set()
    if errors and len(right) < len(calls):
        # What is left may be errors, or a truth and an error that stand together and were called as one.
        misread, rest = _keyed(errors), _without(called, right)
        _, seen, capped_here = _agree(window, misread, rest, max_states)
        rest, missed = _without(rest, seen), _without(true, truths)
        capped = capped or capped_here
        if rest and missed:
            together = sorted([*missed, *((change, -1 - index) for change, index in misread)])
            more, found, capped_here = _agree(window, together, rest, max_states)
            truths |= {index for index in more if index >= 0}
            right |= found
            capped = capped or capped_here
    return Found(truths, right, seen, capped)


def _keyed(variants: Sequence[Variant | JudgedCall]) -> list[Keyed]:
    return sorted((edit(*variant[:3]), index) for index, variant in enumerate(variants))


def _without(keyed: Iterable[Keyed], indices: set[int]) -> list[Keyed]:
    return [item for item in keyed if item[1] not in indices]


def _agree(window: str, one: list[Keyed], other: list[Keyed], max_states: int) -> tuple[set[int], set[int], bool]:
    """Indices of the largest subsets that spell the same sequence, and whether that was too much to find out."""
    left, right = [change for change, _ in one], [change for change, _ in other]
    if max_states:
        spelled = apply(window, left)
        if spelled is not None and spelled == apply(window, right):
            return *_two_sided(one, other), False
        found = match(window, left, right, max_states)
        if found is not None:
            return *_two_sided([one[i] for i in sorted(found.left)], [other[i] for i in sorted(found.right)]), False
    shared = set(left) & set(right)
    return {i for change, i in one if change in shared}, {i for change, i in other if change in shared}, max_states > 0


def _two_sided(one: list[Keyed], other: list[Keyed]) -> tuple[set[int], set[int]]:
    """Of edits that spell the same sequence, those that say something.

    Where both sides have come back to the window in step, a new stretch begins. A stretch that only one side edits spells the window
    itself: its edits cancel each other, and are not right for that.
    """
    kept: tuple[set[int], set[int]] = (set(), set())
    stretch: tuple[list[int], list[int]] = ([], [])
    end, grown = 0, [0, 0]
    for (start, stop, added), side, index in sorted([(change, 0, i) for change, i in one] + [(change, 1, i) for change, i in other]):
        if start >= end and grown[0] == grown[1]:
            _keep(kept, stretch)
            stretch = ([], [])
        stretch[side].append(index)
        end = max(end, stop)
        grown[side] += len(added) - (stop - start)
    _keep(kept, stretch)
    return kept


def _keep(kept: tuple[set[int], set[int]], stretch: tuple[list[int], list[int]]) -> None:
    if stretch[0] and stretch[1]:
        for side in (0, 1):
            kept[side].update(stretch[side])
