"""Reading what the provider says about its limits. Whatever is not understood is None, never an error.

The forms are Groq's: Go durations, ``x-ratelimit-*`` headers (requests per day, tokens per minute) and the sentence in the
body of a 429, the only place where the other limits show themselves.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import cast

from helix_ray.providers.readings import LimitKind, LimitReading, RateLimitDetail

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
_MAX_BODY = 65_536


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
        requests_reset_s=_duration(headers.get("x-ratelimit-reset-requests")),
        tokens_limit=_positive(headers.get("x-ratelimit-limit-tokens")),
        tokens_remaining=_number(headers.get("x-ratelimit-remaining-tokens")),
        tokens_reset_s=_duration(headers.get("x-ratelimit-reset-tokens")),
    )


def read_rate_limit(headers: Mapping[str, str], body: bytes) -> RateLimitDetail:
    """What a 429 or 413 says. ``retry_after_s`` is the longer of the header (rounded up to seconds) and the body."""
    message = error_message(body)
    named = _LIMIT.search(message)
    waits = [wait for wait in (retry_after(headers), _again(message)) if wait is not None]
    longest = max(waits) if waits else None
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


def error_object(body: bytes) -> dict[str, object]:
    """``error`` of ``{"error": {…}}``; empty when the body is not of that form (HTML, truncated, too long)."""
    if len(body) > _MAX_BODY:
        return {}
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    error = decoded.get("error") if isinstance(decoded, dict) else None
    return error if isinstance(error, dict) else {}


def error_message(body: bytes) -> str:
    """The provider's sentence, or the start of the raw text."""
    message = error_object(body).get("message")
    return message if isinstance(message, str) else body[:2000].decode("utf-8", "replace")


def _again(message: str) -> float | None:
    found = _AGAIN.search(message)
    return parse_go_duration(found[1].rstrip(".")) if found else None


def _duration(text: str | None) -> float | None:
    return None if text is None else parse_go_duration(text)


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
