"""The templates by name.

Tokens per base, of the o200k tokeniser of the gpt-oss models on random bases. raw, spaced and grouped10 were measured; indexed10
was measured at 0.728 and at 0.789 in windows of different lengths, and the higher one stands, since an estimate had better be too
high until it has learnt. paired_indexed and assisted_aligned are derived: indexed groups with a word before each, bases with few gaps.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from helix_ray.analysis.prompts import layouts, words
from helix_ray.analysis.prompts.alignment import aligned
from helix_ray.analysis.prompts.template import PromptTemplate
from helix_ray.analysis.prompts.worked import WORKED
from helix_ray.errors import ConfigError

MAX_READS: Final = 50


class _Family(NamedTuple):
    version: int
    task: str
    tokens_per_base: float
    layout: layouts.Layout
    shown: str


_FAMILIES = {
    "raw": _Family(1, "unassisted", 0.518, layouts.apart(layouts.raw), words.ALONE),
    "spaced": _Family(1, "unassisted", 1.0, layouts.apart(layouts.spaced), words.SPACED),
    "grouped10": _Family(1, "unassisted", 0.531, layouts.apart(layouts.grouped10), words.GROUPED),
    "indexed10": _Family(2, "unassisted", 0.789, layouts.apart(layouts.indexed10), words.INDEXED),
    "paired_indexed": _Family(1, "unassisted", 0.85, layouts.paired, words.PAIRED),
    "assisted_aligned": _Family(1, "assisted", 0.53, aligned, words.ALIGNED),
}
PROMPTS: Final = tuple(_FAMILIES)


@cache
def get_prompt(name: str, *, examples: int = 0, reads_per_request: int = 1, work: bool = False) -> PromptTemplate:
    """The template of this name; ConfigError when there is none, or none with so many examples or reads."""
    family = _FAMILIES.get(name)
    if family is None:
        raise ConfigError("analyzer.prompt", [f"unknown template '{name}'; known: {', '.join(PROMPTS)}"])
    if not 0 <= examples <= len(WORKED):
        raise ConfigError("analyzer.examples", [f"there are 0 to {len(WORKED)} worked examples, found {examples}"])
    if not 1 <= reads_per_request <= MAX_READS:
        raise ConfigError("analyzer.reads_per_request", [f"a request has 1 to {MAX_READS} reads, found {reads_per_request}"])
    return PromptTemplate(name, *family, reads_per_request=reads_per_request, work=work, examples=examples)
