"""The emulator's tokenizer: a deterministic estimate, not a real one.

Constants are measurements with the gpt-oss tokenizer (o200k_harmony): tokens per base for each way of printing a sequence,
about 4 characters a token in other prompt text, about 2 in dense answer JSON (one call object of 48 characters is 25
tokens), and 118 tokens that every structured-output request carries beside its messages and schema.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import ceil

FIXED_TOKENS = 118
CHARS_PER_TOKEN = 4
ANSWER_CHARS_PER_TOKEN = 2

_PER_BASE = {"indexed": 0.728, "interleaved": 0.85, "spaced": 1.0, "grouped": 0.531, "bare": 0.518, "aligned": 0.53}
_PER_GAP = 1.0
_NO_BASES = b"0123456789: -\nreadf"
_RUN = re.compile(
    r"(?=[0-9rACGTN-])(?:"  # what any run starts with: elsewhere no alternative is tried
    r"(?P<indexed>\d+:[ACGTN]{1,10}(?: \d+:[ACGTN]{1,10})*(?![ACGTN]))"
    r"|(?P<interleaved>\bre(?:f|ad) \d+:[ACGTN]{1,10}(?:\nre(?:f|ad) \d+:[ACGTN]{1,10})*(?![ACGTN]))"
    r"|(?P<spaced>\b[ACGTN](?: [ACGTN]){11,}\b)"
    r"|(?P<grouped>\b[ACGTN]{10}(?: [ACGTN]{10})*(?: [ACGTN]{1,10})\b)"
    r"|(?P<bare>(?<![ACGTN-])[ACGTN]{12,}(?![ACGTN-]))"
    r"|(?P<aligned>[ACGTN-]{12,}))"
)


def text_tokens(text: str) -> float:
    """Tokens of one message, as a fraction: the caller rounds the sum."""
    tokens = 0.0
    other = len(text)
    for run in _RUN.finditer(text):
        shown, kind = run[0], run.lastgroup
        assert kind is not None
        other -= len(shown)
        tokens += _PER_BASE[kind] * len(shown.encode().translate(None, _NO_BASES))
        if kind == "aligned":
            tokens += _PER_GAP * shown.count("-")
    return tokens + other / CHARS_PER_TOKEN


# Instructions repeat from request to request; reads do not.
repeated_text_tokens = lru_cache(maxsize=256)(text_tokens)


def answer_tokens(content: str) -> int:
    return ceil(len(content) / ANSWER_CHARS_PER_TOKEN)


def total_prompt_tokens(message_tokens: float, schema_json: str | None) -> int:
    """Tokens of a whole request: messages, the schema that Groq injects into the prompt, and the fixed part."""
    schema = 0 if schema_json is None else len(schema_json) / CHARS_PER_TOKEN
    return ceil(FIXED_TOKENS + schema + message_tokens)
