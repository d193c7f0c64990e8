"""Which calls are which truths, and which are sequencing errors: two sets of variants that spell one sequence are the same.

The exact two-haplotype search of vcfeval's idea (Cleary et al. 2015, doi:10.1101/023754): of both sets keep as many members as
possible such that both spell the same sequence. A uniform-cost search over how far either sequence has been spelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from helix_ray.records import Variant
from helix_ray.scoring.variants import Edit, JudgedCall, apply, edit

MAX_STATES = 20_000
"""Bounds the search. Measured: reads with ten variants need at most 24; only answers with hundreds of calls need more."""

Keyed = tuple[Edit, int]
"""An edit and the index of its variant; errors that are matched together with truths have indices from -1 down."""


Stretch = tuple[list[int], list[int]]
"""Indices of truths, and of the calls that spell the same."""


class Found(NamedTuple):
    """Truths and calls that match each other, and calls that are sequencing errors."""

    stretches: list[Stretch]
    errors: set[int]
    capped: bool

    @property
    def truths(self) -> set[int]:
        return {index for truths, _ in self.stretches for index in truths}

    @property
    def calls(self) -> set[int]:
        return {index for _, calls in self.stretches for index in calls}


def match_calls(window: str, truth: Sequence[Variant], calls: Sequence[JudgedCall], errors: Sequence[Variant], max_states: int) -> Found:
    """Match valid calls with the truth, the rest of them with the errors, and what then remains with truths and errors together."""
    if not calls or not (truth or errors):
        return Found([], set(), False)
    true, called = _keyed(truth), _keyed(calls)
    found = Found(*_agree(window, true, called, max_states))
    if errors and len(found.calls) < len(calls):
        # What is left may be errors, or a truth and an error that stand together and were called as one.
        misread, rest = _keyed(errors), _without(called, found.calls)
        seen = Found(*_agree(window, misread, rest, max_states))
        rest, missed = _without(rest, seen.calls), _without(true, found.truths)
        found = found._replace(errors=seen.calls, capped=found.capped or seen.capped)
        if rest and missed:
            together = sorted([*missed, *((change, -1 - index) for change, index in misread)])
            more, _, capped = _agree(window, together, rest, max_states)
            told = [([index for index in truths if index >= 0], calls) for truths, calls in more]
            misread_too = {index for truths, calls in told if not truths for index in calls}
            stretches = [*found.stretches, *(stretch for stretch in told if stretch[0])]
            found = Found(stretches, found.errors | misread_too, found.capped or capped)
    return found


def _keyed(variants: Sequence[Variant | JudgedCall]) -> list[Keyed]:
    return sorted((edit(*variant[:3]), index) for index, variant in enumerate(variants))


def _without(keyed: Iterable[Keyed], indices: set[int]) -> list[Keyed]:
    return [item for item in keyed if item[1] not in indices]


def _agree(window: str, one: list[Keyed], other: list[Keyed], max_states: int) -> tuple[list[Stretch], set[int], bool]:
    """The largest subsets that spell the same sequence, and whether the search was given up; then equal edits count."""
    left, right = [change for change, _ in one], [change for change, _ in other]
    if max_states:
        spelled = apply(window, left)
        if spelled is not None and spelled == apply(window, right):
            return _two_sided(one, other), set(), False
        found = match(window, left, right, max_states)
        if found is not None:
            return _two_sided([one[i] for i in sorted(found.left)], [other[i] for i in sorted(found.right)]), set(), False
    shared = set(left) & set(right)
    return [([i for change, i in one if change == it], [i for change, i in other if change == it]) for it in shared], set(), max_states > 0


def _two_sided(one: list[Keyed], other: list[Keyed]) -> list[Stretch]:
    """Of edits that spell the same sequence, those that do not merely cancel each other.

    A new stretch begins where both sides are in step with the window again. A stretch that only one side edits spells the window
    itself, so its edits are no match.
    """
    stretches: list[Stretch] = [([], [])]
    end, grown = 0, [0, 0]
    for (start, stop, added), side, index in sorted([(change, 0, i) for change, i in one] + [(change, 1, i) for change, i in other]):
        if start >= end and grown[0] == grown[1]:
            stretches.append(([], []))
        stretches[-1][side].append(index)
        end = max(end, stop)
        grown[side] += len(added) - (stop - start)
    return [stretch for stretch in stretches if all(stretch)]


class Matching(NamedTuple):
    """Which members of either set were kept, by their index."""

    left: frozenset[int]
    right: frozenset[int]


class _State(NamedTuple):
    """Both sequences agree as far as the shorter one goes; ``lead`` is what the longer one has beyond that."""

    next_first: int  # index of the next edit to decide about
    at_first: int  # window position up to which the first sequence is spelled
    next_second: int
    at_second: int
    lead: str
    first_leads: bool  # False without a lead


def match(window: str, left: Sequence[Edit], right: Sequence[Edit], max_states: int = MAX_STATES) -> Matching | None:
    """The largest pair of subsets that spell the same sequence; None when more than ``max_states`` states were looked at.

    Both sets must be sorted. Of several largest pairs one is chosen by the edits alone, so that swapping the sets swaps the
    result: the one that leaves out the fewest members of the set that sorts first, then the one that keeps its first members.
    """
    swapped = tuple(right) < tuple(left)
    first, second = (right, left) if swapped else (left, right)
    excluded = _search(window, first, second, max_states)
    if excluded is None:
        return None
    count = len(first)
    kept_first = frozenset(i for i in range(count) if not excluded >> i & 1)
    kept_second = frozenset(i for i in range(len(second)) if not excluded >> (count + i) & 1)
    return Matching(kept_second, kept_first) if swapped else Matching(kept_first, kept_second)


def _search(window: str, first: Sequence[Edit], second: Sequence[Edit], max_states: int) -> int | None:
    """The excluded members as bits, those of ``first`` lowest; None when given up."""
    members = len(first) + len(second)
    # One number orders all choices: how many are left out, how many of them of the first set, and which ones.
    wide = members.bit_length()
    one, one_of_first = 1 << (members + wide), 1 << members
    # An early member weighs more than a later one, so that of equals the later ones are left out.
    weights = [one | (one_of_first if i < len(first) else 0) | 1 << (members - 1 - i) for i in range(members)]
    heap: list[tuple[int, _State]] = [(0, _State(0, 0, 0, 0, "", False))]
    seen: set[_State] = set()
    while heap:
        cost, state = heappop(heap)
        if state in seen:
            continue
        if state[:5] == (len(first), len(window), len(second), len(window), ""):
            bits = cost & (one_of_first - 1)
            return sum(1 << i for i in range(members) if bits >> (members - 1 - i) & 1)
        if len(seen) >= max_states:
            return None
        seen.add(state)
        for weight, following in _steps(window, state, first, second, weights):
            if following not in seen:
                heappush(heap, (cost + weight, following))
    raise AssertionError("leaving out everything always spells the window twice")


def _steps(window: str, state: _State, first: Sequence[Edit], second: Sequence[Edit], weights: Sequence[int]) -> list[tuple[int, _State]]:
    """The next states of the sequence that is behind, with their costs: spell on to its next edit, take that edit, or leave it out."""
    size = len(window)
    of_first = not state.first_leads if state.lead else state[:2] != (len(first), size)
    if of_first:
        edits, index, at, weight_of = first, state.next_first, state.at_first, 0
    else:
        edits, index, at, weight_of = second, state.next_second, state.at_second, len(first)
    if index == len(edits):
        return _spelled(state, of_first, index, size, window[at:]) if at < size else []
    start, end, added = edits[index]
    if start > at:
        return _spelled(state, of_first, index, start, window[at:start])
    taken = _spelled(state, of_first, index + 1, end, added) if start == at else []  # else an edit before it changed these bases
    left_out = _spelled(state, of_first, index + 1, at, "")
    return [*taken, (weights[weight_of + index], left_out[0][1])]


def _spelled(state: _State, of_first: bool, index: int, at: int, text: str) -> list[tuple[int, _State]]:
    """The state after one sequence grew by ``text``, at no cost; no state where the sequences then differ."""
    lead, first_leads = state.lead, state.first_leads
    if text:
        if lead and first_leads is not of_first:
            shared = min(len(lead), len(text))
            if lead[:shared] != text[:shared]:
                return []
            lead, first_leads = (text[shared:], of_first) if len(text) > shared else (lead[shared:], first_leads)
        else:
            lead, first_leads = lead + text, of_first
    if not lead:
        first_leads = False
    if of_first:
        return [(0, _State(index, at, state.next_second, state.at_second, lead, first_leads))]
    return [(0, _State(state.next_first, state.at_first, index, at, lead, first_leads))]
