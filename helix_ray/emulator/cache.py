"""The provider's prompt cache: what a prompt shares with a recent one from its beginning on is cheaper and read faster."""

from __future__ import annotations

import random
from typing import NamedTuple

BLOCK_TOKENS = 128
"""The shortest prefix that is kept, and the step in which longer ones grow."""

LIFETIME_S = 7_200.0
_CHARS = 4  # a token, in the text that prompts begin with
_MOST_PREFIXES = 50_000


class _Prefix(NamedTuple):
    """A prompt up to the end of one of its blocks, by the hashes of all blocks until there."""

    model: str
    chain: int


class PromptCache:
    """Every request leaves its prompt behind; one in ``hit_rate`` (0 to 1) finds what others left, since requests are spread
    over servers that do not share it.
    """

    def __init__(self, hit_rate: float, seed: int) -> None:
        self._hit_rate = hit_rate
        self._random = random.Random(seed)  # noqa: S311  not for secrets
        self._seen: dict[_Prefix, float] = {}  # when, in monotonic seconds; the oldest first

    def cached_tokens(self, model: str, contents: list[str], prompt_tokens: int, now: float) -> int:
        """Of ``prompt_tokens``, those that need not be read again: a multiple of 128, and never the whole prompt.

        ``contents``: of the messages, in order.
        """
        if self._hit_rate == 0.0:
            return 0
        warm = self._random.random() < self._hit_rate
        prefixes = _prefixes(model, "\n".join(contents))
        blocks = 0
        for prefix in prefixes:
            seen_at = self._seen.get(prefix)
            if seen_at is None or now - seen_at > LIFETIME_S:
                break
            blocks += 1
        for prefix in prefixes:
            self._seen.pop(prefix, None)
            self._seen[prefix] = now
        while len(self._seen) > _MOST_PREFIXES:
            del self._seen[next(iter(self._seen))]
        return BLOCK_TOKENS * min(blocks, (prompt_tokens - 1) // BLOCK_TOKENS) if warm else 0


def _prefixes(model: str, text: str) -> list[_Prefix]:
    size = BLOCK_TOKENS * _CHARS
    prefixes: list[_Prefix] = []
    chain = 0
    for start in range(0, len(text) - size + 1, size):
        chain = hash((chain, text[start : start + size]))
        prefixes.append(_Prefix(model, chain))
    return prefixes
