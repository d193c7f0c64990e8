"""What really differs between a read and its reference window: the emulator's own variant caller.

Calls are VCF-like: 1-based positions in the window, an anchor base for insertions and deletions, indels left-aligned as
far as the neighbouring call allows (Tan, Abecasis & Kang 2015, 10.1093/bioinformatics/btv112). Adjacent substitutions are one
call of several bases, and so is an inverted stretch, whose bases agree here and there by chance. Applying all calls to the
window rebuilds the read.
"""

from __future__ import annotations

from typing import NamedTuple

from helix_ray.emulator.wavefront import Operation, align

# Up to this many substitutions never cost more than an insertion and a deletion (4 * 4 <= 2 * (6 + 2)).
_PLAIN_SUBSTITUTIONS = 4
_LONGEST_INVERSION = 49  # bases; from 50 on it is a structural variant
_COMPLEMENT = str.maketrans("ACGT", "TGCA")

Edit = tuple[int, str, str]  # 0-based ref index, removed, added


class Call(NamedTuple):
    pos: int  # 1-based in the window
    ref: str
    alt: str


def call_variants(ref: str, read: str) -> list[Call]:
    """The calls in order of position; empty when the two are equal. Both sequences must be non-empty."""
    if ref == read:
        return []
    if len(ref) == len(read):
        places = [i for i, (a, b) in enumerate(zip(ref, read, strict=True)) if a != b]
        if len(places) <= _PLAIN_SUBSTITUTIONS:
            return _anchored(ref, _events(ref, [(i, ref[i], read[i]) for i in places]))
    start = _common_prefix(ref, read)
    shorter = min(len(ref), len(read)) - start
    end = _common_prefix(ref[: -shorter - 1 : -1], read[: -shorter - 1 : -1]) if shorter else 0
    ref_middle, read_middle = ref[start : len(ref) - end], read[start : len(read) - end]
    operations: list[Operation] | None
    if not ref_middle or not read_middle:
        edits = [(start, ref_middle, read_middle)]
    else:
        operations = align(ref_middle, read_middle)
        if operations is None:  # nothing alike: one replacement of the whole middle
            edits = [(start, ref_middle, read_middle)]
        else:
            edits = [(start + at, gone, new) for at, gone, new in _edits(operations, ref_middle, read_middle)]
    return _anchored(ref, _events(ref, edits))


def _events(ref: str, edits: list[Edit]) -> list[Edit]:
    """The edits with those joined that one event made: adjacent substitutions, and the pieces of an inversion."""
    joined: list[Edit] = []
    for edit in edits:
        at, removed, added = edit
        if joined and removed and added:
            last, gone, new = joined[-1]
            if gone and new and last + len(gone) == at:
                joined[-1] = (last, gone + removed, new + added)
                continue
        joined.append(edit)
    first = 0
    while first < len(joined) - 1:
        for last in range(len(joined) - 1, first, -1):
            inversion = _inversion(ref, joined[first : last + 1])
            if inversion is not None:
                joined[first : last + 1] = [inversion]
                break
        first += 1
    return joined


def _inversion(ref: str, edits: list[Edit]) -> Edit | None:
    """The edits as one, if together they turn a stretch of the window into its reverse complement."""
    start, end = edits[0][0], edits[-1][0] + len(edits[-1][1])
    grown = [len(added) - len(removed) for _, removed, added in edits]
    if end - start > _LONGEST_INVERSION or sum(grown) != 0:
        return None
    pieces: list[str] = []
    done = start
    for at, removed, added in edits:
        pieces += [ref[done:at], added]
        done = at + len(removed)
    old, new = ref[start:end], "".join(pieces)
    shared = _common_prefix(old, new)
    tail = _common_prefix(old[:shared:-1], new[:shared:-1])
    old, new = old[shared : len(old) - tail], new[shared : len(new) - tail]
    return (start + shared, old, new) if new == old.translate(_COMPLEMENT)[::-1] else None


def _common_prefix(first: str, second: str) -> int:
    for size, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return size
    return min(len(first), len(second))


def _edits(operations: list[Operation], ref: str, read: str) -> list[Edit]:
    """Single-base operations as (0-based ref index, removed, added); the bases of a gap, and gaps that touch, are one edit."""
    edits: list[Edit] = []
    gap_end: tuple[int, int] | None = None  # where the last gap ended, in both sequences
    for kind, r, q in operations:
        if kind == "X":
            edits.append((r, ref[r], read[q]))
            gap_end = None
            continue
        removed, added = (ref[r], "") if kind == "D" else ("", read[q])
        if gap_end == (r, q):
            at, gone, new = edits.pop()
            edits.append((at, gone + removed, new + added))
        else:
            edits.append((r, removed, added))
        gap_end = (r + len(removed), q + len(added))
    return edits


def _anchored(ref: str, edits: list[Edit]) -> list[Call]:
    calls: list[Call] = []
    floor = 0  # ref index that the next edit must not be moved across
    if len(edits) > 1:
        (at, removed, added), (next_at, next_removed, next_added) = edits[:2]
        if at == 0 and not (removed and added) and next_at == len(removed):
            # A gap at the window's very start would be anchored on a base that is itself replaced: one edit, then.
            edits = [(0, removed + next_removed, added + next_added), *edits[2:]]
    for edit in edits:
        at, removed, added = edit
        if not removed or not added:
            at, removed, added = _left_aligned(ref, at, removed, added, floor)
        floor = at + len(removed)
        if removed and added:
            calls.append(Call(at + 1, removed, added))
        elif at:
            anchor = ref[at - 1]
            calls.append(Call(at, anchor + removed, anchor + added))
        else:  # nothing stands before it: VCF then anchors on the base behind
            anchor = ref[len(removed)] if len(removed) < len(ref) else ""
            calls.append(Call(1, removed + anchor, added + anchor))
    return calls


def _left_aligned(ref: str, at: int, removed: str, added: str, floor: int) -> tuple[int, str, str]:
    while at > floor and ref[at - 1] == (removed or added)[-1]:
        base = ref[at - 1]
        at -= 1
        removed, added = (base + removed[:-1], "") if removed else ("", base + added[:-1])
    return at, removed, added
