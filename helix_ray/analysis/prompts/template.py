"""A prompt template: the static text, and how reads are put into a message."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from helix_ray.analysis.prompts import words
from helix_ray.analysis.prompts.ask import Ask
from helix_ray.analysis.prompts.layouts import Layout
from helix_ray.analysis.prompts.worked import WORKED, WorkedExample, answer_text
from helix_ray.analysis.schema import AnswerSchema, answer_schema

Message = dict[str, str]

_PROBE = tuple(Ask(f"id{number}", "ACGTACGTACGT", "ACGTACGTTACGT") for number in range(2))


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """``packed`` templates take and answer a list of reads, also when it holds only one."""

    name: str
    version: int
    task: str  # unassisted | assisted: its prompts give the alignment away
    tokens_per_base: float  # of window and read together, as printed
    layout: Layout
    shown: str  # the sentence that explains the layout
    reads_per_request: int = 1
    work: bool = False
    examples: int = 0
    system: str = field(init=False)
    schema: AnswerSchema = field(init=False)
    sha256: str = field(init=False)
    """Of everything but the reads: equal hashes ask equal questions."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "system", self._system())
        object.__setattr__(self, "schema", answer_schema(self.packed, self.work))
        parts = (self.name, str(self.version), self.task, str(self.reads_per_request), self.system, self.user_text(_PROBE))
        object.__setattr__(self, "sha256", hashlib.sha256("\0".join(parts).encode()).hexdigest())

    @property
    def packed(self) -> bool:
        return self.reads_per_request > 1

    @property
    def worked(self) -> tuple[WorkedExample, ...]:
        return WORKED[: self.examples]

    def user_text(self, asks: Sequence[Ask]) -> str:
        """The reads, each under its id, a blank line between them."""
        return "\n\n".join([f"id: {ask.opaque_id}\n{self.layout(ask.ref_seq, ask.seq)}" for ask in asks])

    def messages(self, asks: Sequence[Ask]) -> list[Message]:
        return [{"role": "system", "content": self.system}, {"role": "user", "content": self.user_text(asks)}]

    def _system(self) -> str:
        """The instructions, then the worked examples: a packed template shows them as one request."""
        requests = [self.worked] if self.packed and self.examples else [(example,) for example in self.worked]
        parts = [words.instructions(self.shown, self.packed, self.work)]
        for number, request in enumerate(requests, start=1):
            title = "Example" if len(requests) == 1 else f"Example {number}"
            asked = self.user_text([example.ask for example in request])
            parts.append(f"{title}:\n{asked}\nAnswer: {answer_text(request, self.packed, self.work)}")
        return "\n\n".join(parts)
