"""Reading a reply in the form that Groq and its kin share: completion, verdict, and limits by `rate_limits`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from helix_ray.providers.groq.errors import classify, read_error
from helix_ray.providers.outside_text import printable, strict_json
from helix_ray.providers.rate_limits import read_limits, read_rate_limit, retry_after
from helix_ray.providers.readings import (
    AnswerError,
    Completion,
    RateLimitDetail,
    ReplyReading,
    Verdict,
    VerdictKind,
    unanswered,
)
from helix_ray.records import TokenUsage

_MAX_TOKENS = 2**31 - 1
_MAX_LABEL = 200
_ANSWERED = Verdict(VerdictKind.OK, "", "")


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> ReplyReading:
    """A reply to a request for a completion. ``headers`` has lower-case keys."""
    limits = read_limits(headers)
    if 200 <= status < 300:
        completion = parse_completion(body)
        if isinstance(completion, AnswerError):
            return ReplyReading(unanswered(completion.kind, completion.message), limits, completion=completion)
        return ReplyReading(_ANSWERED, limits, completion=completion, request_id=completion.request_id)
    error = read_error(body)
    detail = read_rate_limit(headers, error.message) if status in (429, 413) else RateLimitDetail(retry_after_s=retry_after(headers))
    limited = detail if status == 429 or detail.never_fits else None  # a 413 that names no limit met none: the body is too long
    return ReplyReading(classify(status, error, detail), limits, limited, request_id=headers.get("x-request-id"))


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
