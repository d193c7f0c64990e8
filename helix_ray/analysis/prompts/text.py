"""The fixed texts of prompts: instructions and worked examples.

Any change here makes another experiment: raise the templates' versions with it.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from helix_ray.analysis.prompts.layouts import Ask

ONE_READ = "You compare one DNA read with its reference window and report every small variant of the read."
MANY_READS = """\
You compare DNA reads with their reference windows and report every small variant of each read.
Each read comes with an id and a reference window of its own. Compare a read with its own window only."""

ALONE = "Both sequences are printed without spaces."
SPACED = "Both sequences are printed with a space between bases."
GROUPED = "Both sequences are printed in groups of ten bases."
INDEXED = (
    "Both sequences are printed in groups of ten bases; the number before each group is the 1-based position of the group's first "
    "base in that sequence."
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

WORK = "work comes first: say in a few words where the read differs from the reference and how you counted, then give the calls."


def answer_form(packed: bool, work: bool) -> str:
    first = '"work": your reasoning, ' if work else ""
    one = f'{{{first}"id": the id you were given, "calls": [{{"pos", "ref", "alt", "confidence"}}, ...]}}'
    if not packed:
        return f"Answer with JSON only: {one}."
    return f'Answer with JSON only, one item for every read: {{"reads": [{one}, ...]}}.'


def instructions(shown: str, packed: bool, work: bool, own: str | None = None) -> str:
    """``own``: the user's, in place of the task and of what a call is; how sequences are shown and the form of the answer stay."""
    task, calls = (MANY_READS if packed else ONE_READ, [CALLS]) if own is None else (own.strip(), [])
    parts = [task, shown, answer_form(packed, work), *calls]
    return "\n".join([*parts, WORK] if work else parts)


class WorkedExample(NamedTuple):
    ask: Ask
    work: str
    calls: tuple[tuple[int, str, str], ...]  # pos, ref, alt

    def answer(self, work: bool) -> dict[str, Any]:
        calls = [{"pos": pos, "ref": ref, "alt": alt, "confidence": 0.99} for pos, ref, alt in self.calls]
        return {**({"work": self.work} if work else {}), "id": self.ask.opaque_id, "calls": calls}


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


def answer_text(examples: tuple[WorkedExample, ...], packed: bool, work: bool) -> str:
    """The right answer to ``examples``, as JSON text."""
    answers = [example.answer(work) for example in examples]
    return json.dumps({"reads": answers} if packed else answers[0])
