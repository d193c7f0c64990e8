"""How many tokens a prompt will be charged: an estimate that learns for the rate limits, a ceiling for the money.

Indexed groups of ten cost 0.789 tokens a base with the o200k tokeniser (measured with gpt-tokenizer on random windows).
Static text is close to 4 characters a token, and the chat format with structured output adds about 118 tokens.
"""

from __future__ import annotations

import math

from helix_ray.analysis.prompts import PromptTemplate
from helix_ray.analysis.schema import SCHEMA_TEXT

TOKENS_PER_BASE = 0.789
CHARACTERS_PER_TOKEN = 4.0
FORMAT_TOKENS = 118
FORMAT_TOKENS_CEILING = 512
"""More than the format was ever seen to add, by a factor of four."""

_SMOOTHING = 0.1
_SPREADS = 2.0


class TokenEstimator:
    """Estimates prompt tokens as (fixed + per base) × a moving average of actual / estimated.

    The estimate stands two mean deviations above the average, since a limit is overrun by what is above it, not by the
    mean. Until the first answer the ratio is 1.
    """

    def __init__(self, template: PromptTemplate) -> None:
        static = template.system + SCHEMA_TEXT
        self._fixed = FORMAT_TOKENS + (len(static) + len(template.user_text("0" * 16, "", ""))) / CHARACTERS_PER_TOKEN
        self._static_bytes = len(static.encode())
        self._ratio: float | None = None
        self._spread = 0.0

    def raw(self, bases: int) -> float:
        """Tokens before any learning, for a window and a read of ``bases`` bases together."""
        return self._fixed + TOKENS_PER_BASE * bases

    def estimate(self, bases: int) -> int:
        factor = 1.0 if self._ratio is None else self._ratio + _SPREADS * self._spread
        return math.ceil(self.raw(bases) * factor)

    def observe(self, bases: int, actual: int) -> None:
        """Learns from an answer's ``usage.prompt_tokens``; nonsense (0 or less) is left out."""
        if actual <= 0:
            return
        ratio = actual / self.raw(bases)
        if self._ratio is None:
            self._ratio = ratio
            return
        self._spread += _SMOOTHING * (abs(ratio - self._ratio) - self._spread)
        self._ratio += _SMOOTHING * (ratio - self._ratio)

    def ceiling(self, user_text: str) -> int:
        """A bound, not an estimate: a token of a byte-level tokeniser is never less than one byte of text."""
        size = len(user_text) if user_text.isascii() else len(user_text.encode())
        return self._static_bytes + size + FORMAT_TOKENS_CEILING
