"""Gap-affine wavefront alignment of two short sequences, in plain Python.

After Marco-Sola et al., "Fast gap-affine pairwise alignment using the wavefront algorithm", Bioinformatics 2021
(10.1093/bioinformatics/btaa777): for each score, the furthest-reaching point on each diagonal. Costs: match 0, mismatch 4,
gap opening 6, gap extension 2 per base. All are even, so scores are counted in halves here: 2, 3, 1.

A diagonal is ``ref index - read index``; an offset is the number of reference bases consumed.
"""

from __future__ import annotations

from typing import NamedTuple

MISMATCH, GAP_OPEN, GAP_EXTEND = 2, 3, 1
_FIRST_GAP = GAP_OPEN + GAP_EXTEND
# As in the paper's adaptive variant: diagonals this far behind the best one are given up. Alignments of unlike sequences
# may then cost slightly more than the optimum; they still rebuild the read.
_KEEP, _MAX_LAG = 10, 50
_NONE = -1_000_000

Operation = tuple[str, int, int]  # (X | I | D, 0-based ref index, 0-based read index), one base each
Front = dict[int, int]
_EMPTY: Front = {}


class _Fronts(NamedTuple):
    """By score: the furthest points of paths that end in a match or mismatch, an insertion, a deletion."""

    matches: list[Front]
    inserts: list[Front]
    deletes: list[Front]


def align(ref: str, read: str, max_score: int = 250) -> list[Operation] | None:
    """The differences along a cheapest path, left to right; None if it costs more than ``max_score`` halves.

    Where paths tie, a mismatch is preferred to gaps.
    """
    n, m = len(ref), len(read)
    goal = n - m
    # A run of equal bases is the run of zero bytes in the xor of the two strings as little-endian numbers; the
    # terminators (1 and 2) differ from each other and from every base, and end the last run.
    ref_bits = int.from_bytes(ref.encode() + b"\x01", "little")
    read_bits = int.from_bytes(read.encode() + b"\x02", "little")
    fronts = _Fronts([], [], [])
    for score in range(max_score + 1):
        match, insert, delete = _next(fronts, score, n, m) if score else ({0: 0}, {}, {})
        best = 0
        for k, start in match.items():
            r, q = start, start - k
            if r < n and q < m and ref[r] == read[q]:
                differs = (ref_bits >> (r << 3)) ^ (read_bits >> (q << 3))
                r += ((differs & -differs).bit_length() - 1) >> 3
                match[k] = r
            best = max(best, 2 * r - k)
        fronts.matches.append(match)
        fronts.inserts.append(insert)
        fronts.deletes.append(delete)
        if match.get(goal) == n:
            return _trace(fronts, score, goal, n)
        if len(match) > _KEEP:
            for k in [k for k, r in match.items() if 2 * r - k < best - 2 * _MAX_LAG and k != goal]:
                del match[k]
    return None


def _next(fronts: _Fronts, score: int, n: int, m: int) -> tuple[Front, Front, Front]:
    """The three fronts of ``score``, before the run of matches that follows."""
    mismatched = fronts.matches[score - MISMATCH] if score >= MISMATCH else _EMPTY
    opened = fronts.matches[score - _FIRST_GAP] if score >= _FIRST_GAP else _EMPTY
    inserted, deleted = fronts.inserts[score - GAP_EXTEND], fronts.deletes[score - GAP_EXTEND]
    match: Front = {k: r + 1 for k, r in mismatched.items() if r < n and r - k < m}
    if not (opened or inserted or deleted):
        return match, _EMPTY, _EMPTY
    insert: Front = {k - 1: r for k, r in opened.items() if r - k < m}
    for k, r in inserted.items():
        if r - k < m and r > insert.get(k - 1, _NONE):
            insert[k - 1] = r
    delete: Front = {k + 1: r + 1 for k, r in opened.items() if r < n}
    for k, r in deleted.items():
        if r < n and r + 1 > delete.get(k + 1, _NONE):
            delete[k + 1] = r + 1
    for gap in (insert, delete):
        for k, r in gap.items():
            if r > match.get(k, _NONE):
                match[k] = r
    return match, insert, delete


def _trace(fronts: _Fronts, score: int, k: int, r: int) -> list[Operation]:
    """Walks back from the end, asking at each point which front it came from."""
    operations: list[Operation] = []
    state = "M"
    while score:
        if state == "M":
            mismatched = fronts.matches[score - MISMATCH].get(k, _NONE) + 1 if score >= MISMATCH else _NONE
            inserted, deleted = fronts.inserts[score].get(k, _NONE), fronts.deletes[score].get(k, _NONE)
            r = max(mismatched, inserted, deleted)
            if r == mismatched:
                r -= 1
                operations.append(("X", r, r - k))
                score -= MISMATCH
            else:
                state = "I" if r == inserted else "D"
            continue
        if state == "I":
            operations.append(("I", r, r - k - 1))
            k += 1
        else:
            r -= 1
            operations.append(("D", r, r - k))
            k -= 1
        if score >= _FIRST_GAP and fronts.matches[score - _FIRST_GAP].get(k) == r:
            state, score = "M", score - _FIRST_GAP  # this base opened the gap
        else:
            score -= GAP_EXTEND
    operations.reverse()
    return operations
