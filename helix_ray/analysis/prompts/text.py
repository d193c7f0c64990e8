"""The fixed texts of prompts: instructions and worked examples.

Any change here makes another experiment: raise the templates' versions with it.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from helix_ray.analysis.prompts.layouts import Ask

ONE_READ = "You compare one DNA read with its reference window and report every small variant of the read."
OWN_WINDOW = "Each read comes with an id and a reference window of its own. Compare a read with its own window only."
MANY_READS = f"You compare DNA reads with their reference windows and report every small variant of each read.\n{OWN_WINDOW}"

ONE_READ_2 = (
    "You compare one DNA read with its reference window and report every difference between them, whether it may be a mutation or a "
    "sequencing error."
)
MANY_READS_2 = (
    "You compare DNA reads with their reference windows and report every difference between a read and its window, whether it may be a "
    f"mutation or a sequencing error.\n{OWN_WINDOW}"
)

ALONE = "Both sequences are printed without spaces."
SPACED = "Both sequences are printed with a space between bases."
GROUPED = "Both sequences are printed in groups of ten bases."
INDEXED = (
    "Both sequences are printed in groups of ten bases; the number before each group is the 1-based position of the group's first "
    "base in that sequence."
)
REF_INDEXED = (
    "The reference is printed in groups of ten bases; the number before each group is the 1-based position of the group's first base. "
    "The read is printed without spaces."
)
PAIRED = (
    "Both sequences are printed in groups of ten bases, a group of the reference (ref) and one of the read in turn; the number before "
    "each group is the 1-based position of the group's first base in that sequence."
)
ALIGNED = (
    "The sequences are printed aligned, the reference above the read, with - for a gap. Positions count the bases of the reference, "
    "not the gaps."
)

CALLS = """\
pos is the 1-based position in the reference; ref and alt are upper-case bases as in VCF; confidence is between 0 and 1.
Substitution: ref is the reference base at pos, alt the base that the read has instead. Adjacent substitutions may be one call of \
several bases or a call for each.
Insertion: pos and ref are the one reference base before the inserted bases, alt is that base followed by the inserted bases.
Deletion: pos is the reference base before the deleted bases, ref is that base followed by the deleted bases, alt that base alone.
Place insertions and deletions as far left as possible. After one, the read's positions are shifted against the reference.
If a read equals its reference, its calls are empty."""

CALLS_2 = """\
pos is the 1-based position in the reference; ref and alt are upper-case bases as in VCF; confidence is between 0 and 1: how likely \
you are right about this call.
Substitution: ref is the reference base at pos, alt the base that the read has instead. Adjacent substitutions may be one call of \
several bases or a call for each.
Insertion: pos and ref are the one reference base before the inserted bases, alt is that base followed by the inserted bases.
Deletion: pos is the reference base before the deleted bases, ref is that base followed by the deleted bases, alt that base alone.
Where an insertion or a deletion can be placed in several ways, any equivalent place counts. After one, the read's positions are \
shifted against the reference.
If a read equals its reference, its calls are empty."""

EXCERPTS = """\
A call needs no position. ref is a short excerpt of the reference that contains one difference and several equal bases on either \
side of it, read is the same part as the read has it. ref must stand at exactly one place in the reference: take more bases on either \
side where a shorter excerpt stands at several. Differences that are too close to be told apart go into one call. confidence is between \
0 and 1: how likely you are right about this call.
If a read equals its reference, its calls are empty."""

WORK = "work comes first: say in a few words where the read differs from the reference and how you counted, then give the calls."


class WorkedExample(NamedTuple):
    ask: Ask
    work: str
    calls: tuple[tuple[int, str, str], ...]  # pos, ref, alt
    confidences: tuple[float, ...] = ()  # of the calls; none: 0.99 each

    def answer(self, work: bool, excerpts: bool) -> dict[str, Any]:
        calls = []
        for call, confidence in zip(self.calls, self.confidences or [0.99] * len(self.calls), strict=True):
            shown: dict[str, Any] = dict(zip(("ref", "read"), excerpt(self.ask.ref_seq, *call), strict=True)) if excerpts else {}
            calls.append({**(shown or dict(zip(("pos", "ref", "alt"), call, strict=True))), "confidence": confidence})
        return {**({"work": self.work} if work else {}), "id": self.ask.opaque_id, "calls": calls}


def excerpt(window: str, pos: int, ref: str, alt: str) -> tuple[str, str]:
    """What stands at a call and around it, in the window and with the call: the fewest bases, at least 6 on either side, of which
    the window holds the like once only. At the window's ends there are fewer.
    """
    start, end = pos - 1, pos - 1 + len(ref)
    for flank in range(6, len(window) + 1):
        left, right = window[max(0, start - flank) : start], window[end : end + flank]
        shown = left + ref + right
        if window.find(shown) == window.rfind(shown):
            break
    return shown, left + alt + right


WORKED = (
    WorkedExample(
        Ask("example-1", "TGCATTCGAGCTTACGGATCCTAG", "TGCATTCGAGCTTACGGATCCTAG"),
        "The read equals the reference from 1 to 24.",
        (),
    ),
    WorkedExample(
        Ask("example-2", "CATGGCTTAGACGTCCAATGCGTA", "CATGGCTTAGATGTCCAATGCAGTA"),
        "Reference position 12 is C, the read has T. After reference position 21 (C) the read has one more A.",
        ((12, "C", "T"), (21, "C", "CA")),
    ),
    WorkedExample(
        Ask("example-3", "GATTCAGCCGTATGACTCGGTTCA", "GATTCACGTATGACTGAGTTCA"),
        "Reference positions 7 and 8 (GC) are missing after position 6 (A). Reference positions 18 and 19 are CG, the read has GA.",
        ((6, "AGC", "A"), (18, "CG", "GA")),
    ),
)

_LONG = "GTCATTGACCAGTTCTAGCAATTTTTCAGGATACCGTCTAGACATGGTCAACTTGCGATACAGTCCTGAACGATTGTCACCTAGGTTCGAATGCATCTGACGTTACAGCATAGGTCCTGACTA"
WORKED_2 = (
    WORKED[0],
    WORKED[1]._replace(confidences=(0.96, 0.88)),
    WORKED[2]._replace(confidences=(0.91, 0.94)),
    WorkedExample(
        Ask("example-4", _LONG, _LONG[:24] + _LONG[25:111] + "C" + _LONG[112:]),
        "The reference has TTTTT from 22 to 26, the read one T less. From there the read is one base behind: reference position 112 (A) "
        "is read position 111, where the read has C.",
        ((21, "AT", "A"), (112, "A", "C")),
        (0.62, 0.85),  # which of the repeated bases is gone cannot be told
    ),
)


class Wording(NamedTuple):
    """What a family of templates says, apart from its layout."""

    one_read: str = ONE_READ
    many_reads: str = MANY_READS
    calls: str = CALLS
    worked: tuple[WorkedExample, ...] = WORKED
    excerpts: bool = False  # calls are excerpts in place of positions


FIRST = Wording()
SECOND = Wording(ONE_READ_2, MANY_READS_2, CALLS_2, WORKED_2)
BY_EXCERPT = SECOND._replace(calls=EXCERPTS, excerpts=True)


def answer_form(packed: bool, work: bool, excerpts: bool = False) -> str:
    first = '"work": your reasoning, ' if work else ""
    call = '{"ref", "read", "confidence"}' if excerpts else '{"pos", "ref", "alt", "confidence"}'
    one = f'{{{first}"id": the id you were given, "calls": [{call}, ...]}}'
    if not packed:
        return f"Answer with JSON only: {one}."
    return f'Answer with JSON only, one item for every read: {{"reads": [{one}, ...]}}.'


def instructions(wording: Wording, shown: str, packed: bool, work: bool, own: str | None = None) -> str:
    """``own``: the user's, in place of the task and of what a call is; how sequences are shown and the form of the answer stay."""
    task, calls = (wording.many_reads if packed else wording.one_read, [wording.calls]) if own is None else (own.strip(), [])
    parts = [task, shown, answer_form(packed, work, wording.excerpts), *calls]
    return "\n".join([*parts, WORK] if work else parts)


def answer_text(examples: tuple[WorkedExample, ...], packed: bool, work: bool, excerpts: bool = False) -> str:
    """The right answer to ``examples``, as JSON text."""
    answers = [example.answer(work, excerpts) for example in examples]
    return json.dumps({"reads": answers} if packed else answers[0])
