"""The worked examples. Windows of 24 bases: shorter than any that the generator makes, so that none can ever be asked."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from helix_ray.analysis.prompts.ask import Ask


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
    """What a model should answer to ``examples``, as JSON text."""
    answers = [example.answer(work) for example in examples]
    return json.dumps({"reads": answers} if packed else answers[0])
