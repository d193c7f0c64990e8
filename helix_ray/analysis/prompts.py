"""Named, hashed prompt templates. A prompt holds an opaque id and two sequences, and nothing else of a read.

The static text comes first, so that a provider can cache it; what differs between reads comes last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from helix_ray.errors import ConfigError

Message = dict[str, str]

_TASK = """\
You compare one DNA read with its reference window and report every small variant of the read.
Both sequences are printed in groups of ten bases; the number before each group is the 1-based position of the group's first \
base in that sequence.
Answer with JSON only: {"id": the id you were given, "calls": [{"pos", "ref", "alt", "confidence"}, ...]}.
pos is the 1-based position in the reference; ref and alt are upper-case bases as in VCF; confidence is between 0 and 1.
Substitution: ref is the reference base at pos, alt the base that the read has instead.
Insertion: pos and ref are the one reference base before the inserted bases, alt is that base followed by the inserted bases.
Deletion: pos is the reference base before the deleted bases, ref is that base followed by the deleted bases, alt that base alone.
Place insertions and deletions as far left as possible. After one, the read's positions are shifted against the reference.
If the read equals the reference, calls is empty."""


def opaque_id(nonce: str, read_index: int) -> str:
    """An id that means nothing to anyone else: 16 hexadecimal digits, fixed by the run's nonce and the read's index."""
    return hashlib.blake2s(b"%d" % read_index, key=nonce.encode()[:32], digest_size=8).hexdigest()


def indexed10(seq: str) -> str:
    """``1:ACGTACGTAC 11:ACGT…``: models lose count of bare bases, indexed groups keep their place."""
    return " ".join([f"{start + 1}:{seq[start : start + 10]}" for start in range(0, len(seq), 10)])


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    name: str
    version: int
    system: str
    show: Callable[[str], str]  # how a sequence is printed
    sha256: str = field(init=False)
    """Of everything but the read itself: equal hashes make equal prompts."""

    def __post_init__(self) -> None:
        example = self.user_text("id", "ACGTACGTACGT", "ACGTACGTTACGT")
        text = "\0".join((self.name, str(self.version), self.system, example))
        object.__setattr__(self, "sha256", hashlib.sha256(text.encode()).hexdigest())

    def user_text(self, opaque_id: str, ref_seq: str, seq: str) -> str:
        return f"id: {opaque_id}\nreference ({len(ref_seq)} bases):\n{self.show(ref_seq)}\nread ({len(seq)} bases):\n{self.show(seq)}"

    def messages(self, opaque_id: str, ref_seq: str, seq: str) -> list[Message]:
        return [{"role": "system", "content": self.system}, {"role": "user", "content": self.user_text(opaque_id, ref_seq, seq)}]


_TEMPLATES = {template.name: template for template in (PromptTemplate("indexed10", 1, _TASK, indexed10),)}


def get_prompt(name: str) -> PromptTemplate:
    """The template of this name; ConfigError when there is none."""
    template = _TEMPLATES.get(name)
    if template is None:
        raise ConfigError("analyzer.prompt", [f"unknown template '{name}'; built: {', '.join(_TEMPLATES)}"])
    return template
