"""The models that the emulator serves, with Groq's published prices, and those that Groq has shut down.

Prices, windows and speeds are those of Groq's models page and of live ``GET /models`` bodies in autumn 2026.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

_GPT_OSS_EFFORTS = frozenset({"low", "medium", "high"})
_QWEN_EFFORTS = frozenset({"none", "default", "low", "medium", "high"})
_dollars = lru_cache(Decimal)


@dataclass(frozen=True, slots=True)
class Model:
    """One served model. Prices are US dollars per token as decimal strings, speeds tokens per second."""

    id: str
    owned_by: str
    created: int  # Unix seconds
    context_window: int
    max_completion_tokens: int
    prompt_usd: str
    completion_usd: str
    cached_usd: str | None  # None: the live body names no price for cached input
    completion_tokens_per_s: float
    developer_tpm: int
    efforts: frozenset[str]
    strict_schema: bool  # constrained decoding is offered

    def bill(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> Decimal:
        """US dollars for one answered request; nothing is rounded. ``cached_tokens`` are those of the prompt that the cache
        gave; where no price for them is published, they cost what others cost.
        """
        bill = (prompt_tokens - cached_tokens) * _dollars(self.prompt_usd) + completion_tokens * _dollars(self.completion_usd)
        return bill + cached_tokens * _dollars(self.cached_usd or self.prompt_usd) if cached_tokens else bill

    def wire(self) -> dict[str, object]:
        """The object that ``GET /models`` returns for this model."""
        pricing = {"prompt": self.prompt_usd, "completion": self.completion_usd, "image": "0", "request": "0"}
        if self.cached_usd is not None:
            pricing["input_cache_read"] = self.cached_usd
        return {
            "id": self.id,
            "object": "model",
            "created": self.created,
            "owned_by": self.owned_by,
            "active": True,
            "context_window": self.context_window,
            "public_apps": None,
            "max_completion_tokens": self.max_completion_tokens,
            "context_length": self.context_window,
            "max_output_length": self.max_completion_tokens,
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "pricing": pricing,
        }


MODELS: dict[str, Model] = {
    model.id: model
    for model in (
        Model(
            "openai/gpt-oss-20b", "OpenAI", 1754407957, 131072, 65536,
            "0.000000075", "0.0000003", "0.0000000375", 1000, 250_000, _GPT_OSS_EFFORTS, True,
        ),
        Model(
            "openai/gpt-oss-120b", "OpenAI", 1754408224, 131072, 65536,
            "0.00000015", "0.0000006", "0.000000075", 470, 250_000, _GPT_OSS_EFFORTS, True,
        ),
        Model(
            "openai/gpt-oss-safeguard-20b", "OpenAI", 1761708789, 131072, 65536,
            "0.000000075", "0.0000003", "0.0000000375", 1000, 150_000, _GPT_OSS_EFFORTS, False,
        ),
        Model(
            "qwen/qwen3.8-27b", "Alibaba Cloud", 1786984846, 131042, 16384,
            "0.0000008", "0.000004", None, 450, 250_000, _QWEN_EFFORTS, False,
        ),
    )
}  # fmt: skip

DECOMMISSIONED = frozenset(
    {
        "llama3-8b-8192",
        "llama3-70b-8192",
        "gemma2-9b-it",
        "moonshotai/kimi-k2-instruct",
        "moonshotai/kimi-k2-instruct-0905",
        "meta-llama/llama-4-maverick-17b-128e-instruct",
        "meta-llama/llama-4-scout-17b-16e-instruct",
        "qwen/qwen3-32b",
        "qwen/qwen3.6-27b",
        "llama-3.1-8b-instant",
        "llama-3.3-70b-versatile",
        "groq/compound",
        "groq/compound-mini",
    }
)


def models_body() -> bytes:
    """The body of ``GET /models``."""
    return json.dumps({"object": "list", "data": [model.wire() for model in MODELS.values()]}, separators=(",", ":")).encode()
