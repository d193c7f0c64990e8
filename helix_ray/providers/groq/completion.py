"""The provider's body around an answer: which text came back, how it ended, what it used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from helix_ray.providers.outside_text import printable, strict_json
from helix_ray.records import TokenUsage

_MAX_TOKENS = 2**31 - 1
_MAX_LABEL = 200


@dataclass(frozen=True, slots=True)
class Completion:
    """One chat completion. Nothing of it is trusted but its shape."""

    content: str
    finish_reason: str | None
    refusal: str | None
    usage: TokenUsage | None
    model: str | None
    system_fingerprint: str | None
    service_tier: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class AnswerError:
    """Why an answer is not one. ``completion`` is there when the provider answered (and bills) all the same."""

    kind: str  # broken_body | truncated | refused | parse_error | schema_error
    message: str
    completion: Completion | None = None


def parse_completion(body: bytes) -> Completion | AnswerError:
    """The completion in a 200 body; a body that is none (HTML, cut off, no choices, wrong types) is ``broken_body``.

    Counts that are no numbers are no reason to throw away an answer that was paid for: it has no ``usage`` then.
    """
    try:
        data = strict_json(body)
    except ValueError as error:
        return AnswerError("broken_body", f"the body of {len(body)} bytes is not JSON: {str(error)[:200]}")
    if not isinstance(data, dict):
        return AnswerError("broken_body", "the body is not a JSON object")
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return AnswerError("broken_body", "the body has no choices")
    content, x_groq = message.get("content"), data.get("x_groq")
    if content is not None and not isinstance(content, str):
        return AnswerError("broken_body", f"the content is not text but {type(content).__name__}")
    request_id = _label(x_groq.get("id")) if isinstance(x_groq, dict) else None
    return Completion(
        content=content or "",
        finish_reason=_label(choice.get("finish_reason")),
        refusal=_label(message.get("refusal")),
        usage=_usage(data.get("usage")),
        model=_label(data.get("model")),
        system_fingerprint=_label(data.get("system_fingerprint")),
        service_tier=_label(data.get("service_tier")),
        request_id=request_id or _label(data.get("id")),
    )


def _label(value: Any) -> str | None:
    return printable(value, _MAX_LABEL) if isinstance(value, str) and value else None


def _usage(value: Any) -> TokenUsage | None:
    """None unless the counts are whole numbers: then the call is charged at its worst case."""
    if not isinstance(value, dict):
        return None
    prompt, completion = _count(value.get("prompt_tokens")), _count(value.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    details = value.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return TokenUsage(prompt=prompt, cached=min(cached or 0, prompt), completion=completion)


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else None
