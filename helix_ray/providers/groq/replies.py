"""Reading a reply of Groq: limits, completion, verdict. What is not understood of the limits is None, never an error.

The forms are Groq's: Go durations, ``x-ratelimit-*`` headers (requests per day, tokens per minute) and the sentence in the
body of a 429, the only place where the other limits show themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, cast

from helix_ray.providers.groq.errors import classify, read_error
from helix_ray.providers.outside_text import printable, strict_json
from helix_ray.providers.readings import (
    AnswerError,
    Completion,
    LimitKind,
    LimitReading,
    RateLimitDetail,
    ReplyReading,
    Verdict,
    VerdictKind,
    unanswered,
)
from helix_ray.records import TokenUsage

_UNIT_NS = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, which Go prints
    "μs": 1_000,  # U+03BC, which Go also reads
    "ns": 1,
}
_TERM = re.compile(r"([0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})(ms|us|µs|μs|ns|h|m|s)")
_LIMIT = re.compile(
    r"on (?:input |output )?(?:tokens|requests) per (?:minute|day) \((TPM|TPD|RPM|RPD|ITPM|OTPM)\): "
    r"Limit ([0-9]+)(?:, Used ([0-9]+))?(?:, Requested ~?([0-9]+))?"
)
_AGAIN = re.compile(r"try again in ([0-9hmsµμun.]+)")
_MAX_NS = 2**63 - 1  # a Go duration is an int64 of nanoseconds
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


def parse_go_duration(text: str) -> float | None:
    """Seconds, rounded up to a nanosecond: ``2m59.56s``, ``577.5ms``, ``1h0m0.5s``, ``0``. None for anything else."""
    text = text.strip()
    if text == "0":
        return 0.0
    if not text or len(text) > 128:
        return None
    at, total = 0, 0
    while at < len(text):
        term = _TERM.match(text, at)
        if term is None:
            return None
        total += int((Decimal(term[1]) * _UNIT_NS[term[2]]).to_integral_value(ROUND_CEILING))
        at = term.end()
    return total / 1e9 if total <= _MAX_NS else None


def read_limits(headers: Mapping[str, str]) -> LimitReading:
    """The six headers; keys are lower case."""
    return LimitReading(
        requests_limit=_positive(headers.get("x-ratelimit-limit-requests")),
        requests_remaining=_number(headers.get("x-ratelimit-remaining-requests")),
        requests_reset_s=parse_go_duration(headers.get("x-ratelimit-reset-requests", "")),
        tokens_limit=_positive(headers.get("x-ratelimit-limit-tokens")),
        tokens_remaining=_number(headers.get("x-ratelimit-remaining-tokens")),
        tokens_reset_s=parse_go_duration(headers.get("x-ratelimit-reset-tokens", "")),
    )


def read_rate_limit(headers: Mapping[str, str], message: str) -> RateLimitDetail:
    """What a 429 or 413 says. ``message`` is its sentence; ``retry_after_s`` is the longer of the header (in whole seconds) and that."""
    named, again = _LIMIT.search(message), _AGAIN.search(message)
    waits = (retry_after(headers), parse_go_duration(again[1].rstrip(".")) if again else None)
    longest = max((wait for wait in waits if wait is not None), default=None)
    if named is None:
        return RateLimitDetail(retry_after_s=longest)
    kind, limit, used, requested = named.groups()
    return RateLimitDetail(
        kind=cast(LimitKind, kind),
        limit=_positive(limit),
        used=None if used is None else float(used),
        requested=None if requested is None else int(requested),
        retry_after_s=longest,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The ``retry-after`` header in seconds. An HTTP date is not understood: Groq sends whole seconds."""
    seconds = _number(headers.get("retry-after"))
    return seconds if seconds is not None and 0 <= seconds <= _MAX_NS / 1e9 else None


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


def _number(text: str | None) -> float | None:
    if text is None or len(text) > 40:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _positive(text: str | None) -> float | None:
    value = _number(text)
    return value if value is not None and value > 0 else None
