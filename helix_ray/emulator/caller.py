"""What really differs between a read and its reference window: the emulator's own variant caller.

Calls are VCF-like: 1-based positions in the window, an anchor base for insertions and deletions, indels left-aligned as
far as the neighbouring call allows (Tan, Abecasis & Kang 2015, 10.1093/bioinformatics/btv112). Neighbouring substitutions
stay single-base calls. Applying all calls to the window rebuilds the read.
"""

from __future__ import annotations

from typing import NamedTuple

from helix_ray.emulator.wavefront import Operation, align

# Up to this many substitutions never cost more than an insertion and a deletion (4 * 4 <= 2 * (6 + 2)).
_PLAIN_SUBSTITUTIONS = 4


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
            return [Call(i + 1, ref[i], read[i]) for i in places]
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
    return _anchored(ref, edits)


def _common_prefix(first: str, second: str) -> int:
    for size, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return size
    return min(len(first), len(second))


def _edits(operations: list[Operation], ref: str, read: str) -> list[tuple[int, str, str]]:
    """Single-base operations as (0-based ref index, removed, added); the bases of a gap, and gaps that touch, are one edit."""
    edits: list[tuple[int, str, str]] = []
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


def _anchored(ref: str, edits: list[tuple[int, str, str]]) -> list[Call]:
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
