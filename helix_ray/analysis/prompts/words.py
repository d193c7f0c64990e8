"""What the model is told, sentence by sentence. Any change here is another experiment: raise the templates' versions with it."""

from __future__ import annotations

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


def instructions(shown: str, packed: bool, work: bool) -> str:
    parts = [MANY_READS if packed else ONE_READ, shown, answer_form(packed, work), CALLS]
    return "\n".join([*parts, WORK] if work else parts)
