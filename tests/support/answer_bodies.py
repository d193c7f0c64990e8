"""Completions as the provider sends them, around any content."""

import json
from collections.abc import Sequence
from typing import Any

from helix_ray.analysis import answers
from helix_ray.analysis.answers import ParsedAnswers
from helix_ray.providers.groq.replies import parse_completion
from helix_ray.providers.readings import AnswerError

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


def parse_answer(body: bytes, asked: Sequence[str], *, packed: bool, work: bool) -> ParsedAnswers | AnswerError:
    """The answers in a whole body."""
    completion = parse_completion(body)
    return completion if isinstance(completion, AnswerError) else answers.parse_answer(completion, asked, packed=packed, work=work)
