"""The emulator's tokenizer: a deterministic estimate, not a real one.

Constants are measurements with the gpt-oss tokenizer (o200k_harmony): 0.518 tokens a base in unbroken upper-case
sequence, 0.728 a base where every ten bases carry their index, about 4 characters a token in other prompt text, about 2 in
dense answer JSON (one call object of 48 characters is 25 tokens), and 118 tokens that every structured-output request
carries beside its messages and schema.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import ceil

FIXED_TOKENS = 118
TOKENS_PER_BASE = 0.518
TOKENS_PER_INDEXED_BASE = 0.728
CHARS_PER_TOKEN = 4
ANSWER_CHARS_PER_TOKEN = 2

_INDEXED = re.compile(r"(\d+:)([ACGTN]{1,10})(?![ACGTN]) ?")
_PLAIN = re.compile(r"[ACGTN]{12,}")


def text_tokens(text: str) -> float:
    """Tokens of one message, as a fraction: the caller rounds the sum."""
    indexed_bases = plain_bases = taken = 0
    if ":" in text:
        for index, bases in _INDEXED.findall(text):
            indexed_bases += len(bases)
            taken += len(index) + len(bases) + 1
    for run in _PLAIN.findall(text):
        plain_bases += len(run)
    other = max(0, len(text) - taken - plain_bases)
    return TOKENS_PER_INDEXED_BASE * indexed_bases + TOKENS_PER_BASE * plain_bases + other / CHARS_PER_TOKEN


# Instructions repeat from request to request; reads do not.
repeated_text_tokens = lru_cache(maxsize=256)(text_tokens)


def answer_tokens(content: str) -> int:
    return ceil(len(content) / ANSWER_CHARS_PER_TOKEN)


def total_prompt_tokens(message_tokens: float, schema_json: str | None) -> int:
    """Tokens of a whole request: messages, the schema that Groq injects into the prompt, and the fixed part."""
    schema = 0 if schema_json is None else len(schema_json) / CHARS_PER_TOKEN
    return ceil(FIXED_TOKENS + schema + message_tokens)
