"""Completions as the provider sends them, around any content."""

from __future__ import annotations

import json
from typing import Any

CALL = {"pos": 3, "ref": "A", "alt": "G", "confidence": 0.5}


def body(content: Any, finish: str | None = "stop", refusal: str | None = None, **top: Any) -> bytes:
    text = content if isinstance(content, str) else json.dumps(content)
    message = {"role": "assistant", "content": text, "refusal": refusal}
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "model": "openai/gpt-oss-20b",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 700, "completion_tokens": 60, "prompt_tokens_details": {"cached_tokens": 128}},
            "system_fingerprint": "fp_1",
            "service_tier": "on_demand",
            "x_groq": {"id": "req_1"},
            **top,
        }
    ).encode()
