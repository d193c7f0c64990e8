"""The tokens that a prompt will be charged: a learning estimate for the rate limits, an upper bound for the budget.

Tokens per base are the template's own, as measured. Other text is close to 4 characters a token, and the chat format with
structured output adds about 118 tokens.
"""

from __future__ import annotations

import math

from helix_ray.analysis.prompts import Ask, PromptTemplate

CHARACTERS_PER_TOKEN = 4.0
FORMAT_TOKENS = 118
FORMAT_TOKENS_CEILING = 512
"""More than the format was ever seen to add, by a factor of four."""

_SMOOTHING = 0.1
_SPREADS = 2.0
_EMPTY = Ask("0" * 16, "", "")


class TokenEstimator:
    """Estimates prompt tokens as (fixed + per read + per base) × a moving average of actual / estimated.

    The estimate stands two mean deviations above the average, since prompts above the estimate overrun a limit. Until the first
    answer the ratio is 1.
    """

    def __init__(self, template: PromptTemplate) -> None:
        static = template.system + template.schema.text
        asks = [example.ask for example in template.worked]
        headings = template.user_text([ask._replace(ref_seq="", seq="") for ask in asks])
        printed = len(template.user_text(asks)) - len(headings)  # characters of the examples' sequences
        self._per_base = template.tokens_per_base
        self._per_read = len(template.user_text((_EMPTY, _EMPTY))) / 2 / CHARACTERS_PER_TOKEN
        self._fixed = FORMAT_TOKENS + (len(static) - printed) / CHARACTERS_PER_TOKEN
        self._fixed += self._per_base * sum(len(ask.ref_seq) + len(ask.seq) for ask in asks)
        self._static_bytes = len(static.encode())
        self._ratio: float | None = None
        self._spread = 0.0

    def raw(self, bases: int, reads: int = 1) -> float:
        """Tokens before any learning. ``bases``: of all windows and reads of the request together."""
        return self._fixed + self._per_read * reads + self._per_base * bases

    def estimate(self, bases: int, reads: int = 1) -> int:
        factor = 1.0 if self._ratio is None else self._ratio + _SPREADS * self._spread
        return math.ceil(self.raw(bases, reads) * factor)

    def observe(self, bases: int, actual: int, reads: int = 1) -> None:
        """Learns from an answer's ``usage.prompt_tokens``; nonsense (0 or less) is left out."""
        if actual <= 0:
            return
        ratio = actual / self.raw(bases, reads)
        if self._ratio is None:
            self._ratio = ratio
            return
        self._spread += _SMOOTHING * (abs(ratio - self._ratio) - self._spread)
        self._ratio += _SMOOTHING * (ratio - self._ratio)

    def ceiling(self, user_text: str) -> int:
        """A bound, not an estimate: a token of a byte-level tokeniser is never less than one byte of text."""
        size = len(user_text) if user_text.isascii() else len(user_text.encode())
        return self._static_bytes + size + FORMAT_TOKENS_CEILING
