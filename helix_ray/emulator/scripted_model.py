"""The scripted model: the true calls of a read with seeded mistakes. Its error rates say nothing about any LLM.

Every draw is a function of (seed, window, read) alone, so a rerun under other opaque ids, in another format or packing, in
another order or after a restart answers the same. The truth is found by the emulator's own variant caller and aligner.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from helix_ray.config.emulator import EmulatorErrorRates

_MASK = (1 << 64) - 1


class Draws:
    """Uniform numbers, a stream for each ``seed`` text. SplitMix64 (Steele, Lea & Flood 2014), far cheaper to seed than ``random``."""

    __slots__ = ("_state",)

    def __init__(self, seed: str) -> None:
        self._state = int.from_bytes(blake2b(seed.encode(), digest_size=8).digest(), "little")

    def bits(self) -> int:
        """64 uniform bits."""
        self._state = state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        return state ^ (state >> 31)

    def uniform(self) -> float:
        """In [0, 1)."""
        return (self.bits() >> 11) * 2.0**-53

    def below(self, limit: int) -> int:
        """A whole number from 0 to ``limit`` - 1."""
        return int(self.uniform() * limit)


class ScriptedAnswer(NamedTuple):
    """One read's answer, and what the script did to the truth to get it."""

    calls: list[tuple[Call, float]]  # with confidence, 0..1
    true_calls: int
    dropped: int
    shifted: int
    hallucinated: int
    effort_draw: float  # [0, 1): how long the model "thinks" about this pair


class ScriptedModel:
    """``drop`` and ``shift`` are chances per true call and exclude each other; ``hallucinate`` is a chance per read."""

    def __init__(self, seed: int, rates: EmulatorErrorRates) -> None:
        self._seed = seed
        self._rates = rates

    def answer(self, ref: str, read: str) -> ScriptedAnswer:
        rates = self._rates
        draws = Draws(f"{self._seed}|{ref}|{read}")
        effort = draws.uniform()
        # an N was not read: it is nothing to report
        truth = [call for call in call_variants(ref, read) if "N" not in call.ref + call.alt]
        calls: list[tuple[Call, float]] = []
        dropped = shifted = 0
        for call in truth:
            fate, detail = draws.uniform(), draws.uniform()
            if rates.drop + rates.shift <= fate:
                calls.append((call, round(0.85 + 0.14 * detail, 2)))
                continue
            moved = None if fate < rates.drop else _shifted(call, ref, detail, truth, [made for made, _ in calls])
            if moved is None:
                dropped += 1
            else:
                shifted += 1
                calls.append((moved, round(0.70 + 0.25 * detail, 2)))
        hallucinated = 0
        if draws.uniform() < rates.hallucinate:
            invented = _invented(ref, [*truth, *(made for made, _ in calls)], draws)
            if invented is not None:
                hallucinated = 1
                calls.append((invented, round(0.50 + 0.40 * draws.uniform(), 2)))
        calls.sort(key=lambda item: item[0])
        return ScriptedAnswer(calls, len(truth), dropped, shifted, hallucinated, effort)


def _shifted(call: Call, ref: str, direction: float, truth: list[Call], made: list[Call]) -> Call | None:
    """The call one base off, alleles unchanged, as of a model that miscounts. None where neither direction is a mistake of its
    own: one with the effect of a true call would be right, and one on the bases of another call would spoil that call too.
    """
    others = [other for other in (*truth, *made) if other is not call]
    for step in (1, -1) if direction < 0.5 else (-1, 1):
        moved = call._replace(pos=call.pos + step)
        if 1 <= moved.pos <= len(ref) and not any(_overlap(moved, other) for other in others):
            result = _applied(ref, moved)
            if all(_applied(ref, true) != result for true in truth):
                return moved
    return None


def _applied(ref: str, call: Call) -> str:
    """The window with this call alone, whatever bases stand there."""
    return ref[: call.pos - 1] + call.alt + ref[call.pos - 1 + len(call.ref) :]


def _overlap(first: Call, second: Call) -> bool:
    return first.pos < second.pos + len(second.ref) and second.pos < first.pos + len(first.ref)


def _invented(ref: str, calls: Iterable[Call], draws: Draws) -> Call | None:
    """A substitution where the read has none, on a base that no call touches; None if none was found quickly."""
    touched = {pos for call in calls for pos in range(call.pos - 1, call.pos + len(call.ref) + 1)}
    for _ in range(8):
        pos = draws.below(len(ref)) + 1
        base = ref[pos - 1]
        if pos not in touched and base != "N":
            return Call(pos, base, "ACGT".replace(base, "")[draws.below(3)])
    return None


# ── variant caller ───────────────────────────────────────────────────────────────────────────────────────────────────────

# The emulator's own: it shares nothing with the aligner that it is used to judge. Calls are VCF-like: 1-based positions in
# the window, an anchor base for insertions and deletions, indels left-aligned as far as the neighbouring call allows (Tan,
# Abecasis & Kang 2015, 10.1093/bioinformatics/btv112). Adjacent substitutions are one call of several bases, and so is an
# inverted stretch, whose bases agree here and there by chance. Applying all calls to the window rebuilds the read.

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
    operations = align(ref_middle, read_middle) if ref_middle and read_middle else None
    if operations is None:  # a gap alone, or nothing alike: one replacement of the whole middle
        edits = [(start, ref_middle, read_middle)]
    else:
        edits = [(start + at, gone, new) for at, gone, new in _edits(operations, ref_middle, read_middle)]
    return _anchored(ref, _events(ref, edits))


def _events(ref: str, edits: list[Edit]) -> list[Edit]:
    """The edits with those joined that one event made: adjacent substitutions, and the pieces of an inversion."""
    joined: list[Edit] = []
    for at, removed, added in edits:
        last, gone, new = joined[-1] if joined else (0, "", "")
        if removed and added and gone and new and last + len(gone) == at:
            joined[-1] = (last, gone + removed, new + added)
        else:
            joined.append((at, removed, added))
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
    pairs = enumerate(zip(first, second, strict=False))
    return next((size for size, (a, b) in pairs if a != b), min(len(first), len(second)))


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


# ── wavefront alignment ──────────────────────────────────────────────────────────────────────────────────────────────────

# Gap-affine, in plain Python, after Marco-Sola et al., "Fast gap-affine pairwise alignment using the wavefront algorithm",
# Bioinformatics 2021 (10.1093/bioinformatics/btaa777): for each score, the furthest-reaching point on each diagonal. Costs:
# match 0, mismatch 4, gap opening 6, gap extension 2 per base. All are even, so scores are counted in halves here: 2, 3, 1.
# A diagonal is ``ref index - read index``; an offset is the number of reference bases consumed.

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
    """Of one score: the furthest points of paths that end in a match or mismatch, an insertion, a deletion."""

    match: Front
    insert: Front
    delete: Front


def align(ref: str, read: str, max_score: int = 250) -> list[Operation] | None:
    """The differences along a cheapest path, a mismatch rather than gaps where paths tie; None above ``max_score`` halves."""
    n, m = len(ref), len(read)
    goal = n - m
    # A run of equal bases is the run of zero bytes in the xor of the two strings as little-endian numbers; the
    # terminators (1 and 2) differ from each other and from every base, and end the last run.
    ref_bits = int.from_bytes(ref.encode() + b"\x01", "little")
    read_bits = int.from_bytes(read.encode() + b"\x02", "little")
    fronts: list[_Fronts] = []
    for score in range(max_score + 1):
        fronts.append(_next(fronts, score, n, m) if score else _Fronts({0: 0}, {}, {}))
        match = fronts[score].match
        best = 0
        for k, start in match.items():
            r, q = start, start - k
            if r < n and q < m and ref[r] == read[q]:
                differs = (ref_bits >> (r << 3)) ^ (read_bits >> (q << 3))
                r += ((differs & -differs).bit_length() - 1) >> 3
                match[k] = r
            best = max(best, 2 * r - k)

        if match.get(goal) == n:
            return _trace(fronts, score, goal, n)
        if len(match) > _KEEP:
            for k in [k for k, r in match.items() if 2 * r - k < best - 2 * _MAX_LAG and k != goal]:
                del match[k]
    return None


def _next(fronts: list[_Fronts], score: int, n: int, m: int) -> _Fronts:
    """The three fronts of ``score``, before the run of matches that follows."""
    mismatched = fronts[score - MISMATCH].match if score >= MISMATCH else _EMPTY
    opened = fronts[score - _FIRST_GAP].match if score >= _FIRST_GAP else _EMPTY
    _, inserted, deleted = fronts[score - GAP_EXTEND]
    match: Front = {k: r + 1 for k, r in mismatched.items() if r < n and r - k < m}
    if not (opened or inserted or deleted):
        return _Fronts(match, _EMPTY, _EMPTY)
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
    return _Fronts(match, insert, delete)


def _trace(fronts: list[_Fronts], score: int, k: int, r: int) -> list[Operation]:
    """Walks back from the end, asking at each point which front it came from."""
    operations: list[Operation] = []
    state = "M"
    while score:
        if state == "M":
            mismatched = fronts[score - MISMATCH].match.get(k, _NONE) + 1 if score >= MISMATCH else _NONE
            inserted, deleted = fronts[score].insert.get(k, _NONE), fronts[score].delete.get(k, _NONE)
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
        if score >= _FIRST_GAP and fronts[score - _FIRST_GAP].match.get(k) == r:
            state, score = "M", score - _FIRST_GAP  # this base opened the gap
        else:
            score -= GAP_EXTEND
    operations.reverse()
    return operations
