"""Two sets of variants that spell the same sequence are the same, whatever their members are called.

The exact two-haplotype search of vcfeval's idea (Cleary et al. 2015, doi:10.1101/023754): of both sets keep as many members as
possible such that both spell the same sequence. A uniform-cost search over how far either sequence has been spelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from helix_ray.scoring.edits import Edit

MAX_STATES = 20_000
"""Far beyond what reads need (24 at the most with ten variants); reached only by answers of hundreds of calls."""


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
        if _complete(state, len(window), len(first), len(second)):
            bits = cost & (one_of_first - 1)
            return sum(1 << i for i in range(members) if bits >> (members - 1 - i) & 1)
        if len(seen) >= max_states:
            return None
        seen.add(state)
        for weight, following in _steps(window, state, first, second, weights):
            if following not in seen:
                heappush(heap, (cost + weight, following))
    raise AssertionError("leaving out everything always spells the window twice")


def _complete(state: _State, size: int, first: int, second: int) -> bool:
    return state[:5] == (first, size, second, size, "")


def _steps(window: str, state: _State, first: Sequence[Edit], second: Sequence[Edit], weights: Sequence[int]) -> list[tuple[int, _State]]:
    """What the sequence that is behind can do next, with its price: spell on to its next edit, take that edit, or leave it out."""
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
    """The state after one sequence grew by ``text``, for nothing; no state where the sequences then differ."""
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
