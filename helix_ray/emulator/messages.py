"""Bodies and headers in Groq's words, to the last digit of published ones."""

from __future__ import annotations

import json
from math import ceil

from helix_ray.emulator.buckets import Bucket, BucketSet, Refused
from helix_ray.emulator.windows import WINDOW_S

ORGANIZATION = "org_01helixemulator00000000000"
_UPGRADE = "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing"
_SCOPE = {
    "RPM": "requests per minute",
    "RPD": "requests per day",
    "TPM": "tokens per minute",
    "TPD": "tokens per day",
    "ITPM": "tokens per minute",
    "OTPM": "tokens per minute",
}
_NS = 1_000_000_000
_REQUEST_HEADERS = (b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests")
_TOKEN_HEADERS = (b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens")

Headers = list[tuple[bytes, bytes]]

_ALWAYS: Headers = [
    (b"cache-control", b"private, max-age=0, no-store, no-cache, must-revalidate"),
    (b"vary", b"Origin"),
    (b"server", b"helix-emulator"),
]
JSON_HEAD: Headers = [(b"content-type", b"application/json"), *_ALWAYS]
HTML_HEAD: Headers = [(b"content-type", b"text/html; charset=UTF-8"), *_ALWAYS]


def go_duration(ns: int) -> str:
    """Nanoseconds as Go's ``time.Duration.String()`` writes them: ``0s``, ``577.5ms``, ``2m59.56s``, ``1h0m0s``."""
    if ns == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if ns < size * 1_000:
            return _fraction(ns, size) + unit
    minutes, rest = divmod(ns, 60 * _NS)
    hours, minutes = divmod(minutes, 60)
    text = _fraction(rest, _NS) + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _fraction(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    return f"{whole}.{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else str(whole)


def wait_ns(refused: Refused) -> int:
    """How long until the refused request would fit. The order of the floating-point operations is the one whose rounding
    the published messages show (``2.662499999s``, ``3m7.055999999s``).
    """
    over = refused.used + refused.requested - refused.limit
    return int(over / refused.limit * WINDOW_S[refused.kind] * 1e9)


def rate_limited(refused: Refused, model: str, service_tier: str) -> tuple[bytes, int]:
    """The body of a 429 and its ``retry-after`` in whole seconds."""
    wait = wait_ns(refused)
    message = (
        f"Rate limit reached for model `{model}` in organization `{ORGANIZATION}` service tier `{service_tier}` "
        f"on {_SCOPE[refused.kind]} ({refused.kind}): Limit {refused.limit}, Used {refused.used}, "
        f"Requested {refused.requested}. Please try again in {go_duration(wait)}. {_UPGRADE}"
    )
    return error_body(message, "requests" if refused.kind[0] == "R" else "tokens", "rate_limit_exceeded"), ceil(wait / _NS)


def too_large(kind: str, limit: int, requested: int, model: str, service_tier: str) -> bytes:
    """The body of a 413: a request that no wait would let through."""
    message = (
        f"Request too large for model `{model}` in organization `{ORGANIZATION}` service tier `{service_tier}` "
        f"on {_SCOPE[kind]} ({kind}): Limit {limit}, Requested {requested}, please reduce your message size and try again. {_UPGRADE}"
    )
    return error_body(message, "tokens", "rate_limit_exceeded")


def error_body(message: str, type_: str = "invalid_request_error", code: str | None = None, param: str | None = None) -> bytes:
    error = {"message": message, "type": type_}
    if param is not None:
        error["param"] = param
    if code is not None:
        error["code"] = code
    return json.dumps({"error": error}, separators=(",", ":"), ensure_ascii=False).encode()


def invalid_key() -> bytes:
    return error_body("Invalid API Key", code="invalid_api_key")


def model_not_found(model: str) -> bytes:
    return error_body(f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found")


def model_decommissioned(model: str) -> bytes:
    return error_body(
        f"The model `{model}` has been decommissioned and is no longer supported. Please refer to "
        "https://console.groq.com/docs/deprecations for a recommendation on which model to use instead.",
        code="model_decommissioned",
    )


def blocked_api_access() -> bytes:
    """Groq publishes the code, not the words."""
    return error_body("API access is blocked: the organization has reached its spend limit for this month.", code="blocked_api_access")


def capacity_exceeded(model: str) -> bytes:
    """The body of a 498. Groq publishes the status and the code, not the words."""
    return error_body(f"The flex tier has no capacity left for model `{model}`.", "capacity_exceeded", "capacity_exceeded")


def over_capacity(model: str) -> bytes:
    """The body of a 503."""
    return error_body(
        f"{model} is currently over capacity. Please try again and back off exponentially. "
        "Visit https://groqstatus.com to see if there is an active incident.",
        "internal_server_error",
    )


def internal_error() -> bytes:
    """The body of a 500."""
    return error_body("Internal Server Error", "internal_server_error")


def completion_too_long(limit: int) -> bytes:
    return error_body(
        f"`max_completion_tokens` must be less than or equal to `{limit}`, the maximum value for `max_completion_tokens` "
        "is less than the `context_window` for this model",
        param="max_completion_tokens",
    )


def context_exceeded() -> bytes:
    return error_body("Please reduce the length of the messages or completion.", code="context_length_exceeded", param="messages")


def unknown_url(method: str, path: str) -> bytes:
    return error_body(
        f"Unknown request URL: {method} {path}. Please check the URL for typos, or see the docs at https://console.groq.com/docs/",
        code="unknown_url",
    )


def limit_headers(buckets: BucketSet, refused: Refused | None = None) -> Headers:
    """The six headers: requests per day and tokens per minute, as last refilled. Other limits are never shown. ``refused``
    takes the place of the bucket of its kind, which a scripted outage leaves as it is.
    """
    return [*_shown(_REQUEST_HEADERS, buckets.requests_shown, refused), *_shown(_TOKEN_HEADERS, buckets.tokens_shown, refused)]


def _shown(names: tuple[bytes, bytes, bytes], bucket: Bucket, refused: Refused | None) -> Headers:
    limit, used = (bucket.limit, bucket.used) if refused is None or refused.kind != bucket.kind else (refused.limit, refused.used)
    reset = go_duration(int(used / limit * WINDOW_S[bucket.kind] * 1e9))
    return [(names[0], b"%d" % limit), (names[1], b"%d" % max(0, limit - ceil(used))), (names[2], reset.encode())]
