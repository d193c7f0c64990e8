"""The prompt templates by name: the static text, and how reads are put into a message.

Tokens per base, of the o200k tokeniser of the gpt-oss models on random bases. raw, spaced and grouped10 were measured. indexed10
was measured at 0.728 and at 0.789 in windows of different lengths: the higher one stands, since an estimate should be too high until
it has learnt. paired_indexed, assisted_aligned and ref_indexed10 are derived: indexed groups with a word before each, bases with few
gaps, the mean of an indexed window and a bare read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Final

from helix_ray.analysis.prompts import text
from helix_ray.analysis.prompts.layouts import Ask, Layout, aligned, apart, grouped10, indexed10, paired, spaced
from helix_ray.analysis.schema import AnswerSchema, answer_schema
from helix_ray.config.schema import AnalyzerConfig, OwnPrompt
from helix_ray.errors import ConfigError

MAX_READS: Final = 50

_PROBE = tuple(Ask(f"id{number}", "ACGTACGTACGT", "ACGTACGTTACGT") for number in range(2))


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A ``packed`` template has a list of reads in request and answer, even a list of one."""

    name: str
    version: int
    task: str  # unassisted | assisted: its prompts give the alignment away
    tokens_per_base: float  # of window and read together, as printed
    layout: Layout
    shown: str  # the sentence that explains the layout
    reads_per_request: int = 1
    work: bool = False
    examples: int = 0
    wording: text.Wording = text.FIRST
    instructions: str | None = None  # the user's own, in place of the shipped ones; layout and form of the answer are added to them
    system: str = field(init=False)
    schema: AnswerSchema = field(init=False)
    sha256: str = field(init=False)
    """Of everything but the reads: templates with equal hashes make equal requests."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "system", self._system())
        object.__setattr__(self, "schema", answer_schema(self.packed, self.work, self.wording.excerpts))
        parts = (self.name, str(self.version), self.task, str(self.reads_per_request), self.system, self.user_text(_PROBE))
        object.__setattr__(self, "sha256", hashlib.sha256("\0".join(parts).encode()).hexdigest())

    @property
    def packed(self) -> bool:
        return self.reads_per_request > 1

    @property
    def worked(self) -> tuple[text.WorkedExample, ...]:
        return self.wording.worked[: self.examples]

    def user_text(self, asks: Sequence[Ask]) -> str:
        """The reads, each under its id, a blank line between them."""
        return "\n\n".join([f"id: {ask.opaque_id}\n{self.layout(ask.ref_seq, ask.seq)}" for ask in asks])

    def _system(self) -> str:
        """The instructions, then the worked examples: a packed template shows them as one request."""
        requests = [self.worked] if self.packed and self.examples else [(example,) for example in self.worked]
        parts = [text.instructions(self.wording, self.shown, self.packed, self.work, self.instructions)]
        for number, request in enumerate(requests, start=1):
            title = "Example" if len(requests) == 1 else f"Example {number}"
            asked = self.user_text([example.ask for example in request])
            answer = text.answer_text(request, self.packed, self.work, self.wording.excerpts)
            parts.append(f"{title}:\n{asked}\nAnswer: {answer}")
        return "\n\n".join(parts)


_unassisted = partial(PromptTemplate, version=1, task="unassisted")
_second = partial(_unassisted, wording=text.SECOND)
_FAMILIES = {
    "raw": partial(_unassisted, tokens_per_base=0.518, layout=apart(str), shown=text.ALONE),
    "spaced": partial(_unassisted, tokens_per_base=1.0, layout=apart(spaced), shown=text.SPACED),
    "grouped10": partial(_unassisted, tokens_per_base=0.531, layout=apart(grouped10), shown=text.GROUPED),
    "indexed10": partial(_unassisted, version=2, tokens_per_base=0.789, layout=apart(indexed10), shown=text.INDEXED),
    "paired_indexed": partial(_unassisted, tokens_per_base=0.85, layout=paired, shown=text.PAIRED),
    "assisted_aligned": partial(PromptTemplate, version=1, task="assisted", tokens_per_base=0.53, layout=aligned, shown=text.ALIGNED),
    "indexed10_v2": partial(_second, tokens_per_base=0.789, layout=apart(indexed10), shown=text.INDEXED),
    "ref_indexed10": partial(_second, tokens_per_base=0.66, layout=apart(indexed10, str), shown=text.REF_INDEXED),
    "context": partial(_unassisted, tokens_per_base=0.518, layout=apart(str), shown=text.ALONE, wording=text.BY_EXCERPT),
}
PROMPTS: Final = tuple(_FAMILIES)


@cache
def get_prompt(name: str, *, examples: int = 0, reads_per_request: int = 1, work: bool = False) -> PromptTemplate:
    """The template of this name; ConfigError when there is none, or none with so many examples or reads."""
    family = _FAMILIES.get(name)
    if family is None:
        raise ConfigError("analyzer.prompt", [f"unknown template '{name}'; known: {', '.join(PROMPTS)}"])
    if not 1 <= reads_per_request <= MAX_READS:
        raise ConfigError("analyzer.reads_per_request", [f"a request has 1 to {MAX_READS} reads, found {reads_per_request}"])
    template = family(name, reads_per_request=reads_per_request, work=work, examples=max(0, examples))
    if not 0 <= examples <= len(template.wording.worked):
        raise ConfigError("analyzer.examples", [f"{name} has 0 to {len(template.wording.worked)} worked examples, found {examples}"])
    return template


def template_of(asking: AnalyzerConfig) -> PromptTemplate:
    """The template that a configuration names or brings; ConfigError as `get_prompt`."""
    own = asking.prompt if isinstance(asking.prompt, OwnPrompt) else None
    layout = own.layout if own is not None else asking.prompt_name
    shipped = get_prompt(layout, examples=asking.examples, reads_per_request=asking.reads_per_request, work=asking.work)
    return shipped if own is None else replace(shipped, name=own.name, version=1, instructions=own.instructions)
