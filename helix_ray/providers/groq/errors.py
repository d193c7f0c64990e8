"""The taxonomy: what every ending of a request but an answer leads to, and how long a retry rests.

`TAXONOMY` is the only place where that is decided; docs/operations.md shows the same table. Its rows are Groq's documented and
observed errors, and every way in which a connection was seen to fail.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from helix_ray.providers.readings import UNANSWERED, RateLimitDetail, Rule, Verdict, VerdictKind

LONGEST_REST_S = 60.0
"""However long a failing server asks to be left alone: its word on an error is a guess, unlike that of a 429. The throttle's door
finds out when it is back, and by then the reads are to be there.
"""

_MAX_BODY = 65_536

_STOPPING_CODES = (
    "model_decommissioned", "model_not_found", "blocked_api_access", "invalid_api_key",
    "unsupported_parameter", "unsupported_value", "unknown_parameter",  # every request has the same: provider.parameters
)  # fmt: skip

TAXONOMY: tuple[Rule, ...] = (
    Rule("2xx, a completion", VerdictKind.OK, range(200, 300), named=""),
    Rule("429, no credit left", VerdictKind.STOP, (429,), ("insufficient_quota",)),
    Rule("429, larger than the limit alone", VerdictKind.SHRINK, (429,), never_fits=True, named="request_too_large"),
    Rule("429, a limit is used up", VerdictKind.WAIT, (429,), named="rate_limited"),
    Rule("413", VerdictKind.SHRINK, (413,), named="request_too_large"),
    Rule("401, 402, 403, 404, HTML too", VerdictKind.STOP, (401, 402, 403, 404)),
    Rule("4xx: model gone, spend limit, key, parameter", VerdictKind.STOP, range(400, 500), _STOPPING_CODES),
    Rule("4xx: invalid JSON generated", VerdictKind.REPAIR, range(400, 500), ("json_validate_failed",)),
    Rule("422", VerdictKind.RETRY_ONCE, (422,), spends=True),
    Rule("498, no room in the flex tier", VerdictKind.OTHER_TIER, (498,), named="capacity_exceeded", trouble="capacity"),
    Rule("408, 409, 425, 499", VerdictKind.RETRY, (408, 409, 425, 499), spends=True),
    Rule("503, over capacity", VerdictKind.RETRY, (503,), trouble="overload"),
    Rule("500, 502, any other 5xx, HTML too", VerdictKind.RETRY, range(500, 600), trouble="failure", spends=True),
    Rule("any other 4xx: parameters, context, 424", VerdictKind.DEAD_LETTER, range(400, 500)),
    Rule("3xx, which is not followed", VerdictKind.STOP, range(300, 400)),
    Rule("any other status", VerdictKind.RETRY, range(1000), trouble="failure", spends=True),
    *UNANSWERED,
)


class ApiError(NamedTuple):
    """``error`` of a body ``{"error": {…}}``."""

    code: str  # "" when the body has none
    message: str  # the provider's sentence, or the start of the raw text


def read_error(body: bytes) -> ApiError:
    """Of ``{"error": {…}}``, ``{"error": "…"}`` or, as vLLM has it, the object itself. Another body (HTML, truncated, too long) has
    no code.
    """
    try:
        decoded = json.loads(body) if len(body) <= _MAX_BODY else None
    except (ValueError, RecursionError):
        decoded = None
    error = decoded.get("error", decoded) if isinstance(decoded, dict) else None
    code, message = (error.get("code"), error.get("message")) if isinstance(error, dict) else (None, error)
    text = message if isinstance(message, str) else body[:2000].decode("utf-8", "replace")
    return ApiError(code if isinstance(code, str) else "", text)


def classify(status: int, error: ApiError, detail: RateLimitDetail) -> Verdict:
    rule = next(each for each in TAXONOMY if _fits(each, status, error.code, detail.never_fits))
    wait_s = detail.retry_after_s
    if rule.kind is VerdictKind.RETRY and wait_s is not None:
        wait_s = min(wait_s, LONGEST_REST_S)
    return rule.verdict(error.code or f"http_{status}", error.message, wait_s)


def _fits(rule: Rule, status: int, code: str, never_fits: bool) -> bool:
    return status in rule.statuses and (never_fits or not rule.never_fits) and (not rule.codes or code in rule.codes)
