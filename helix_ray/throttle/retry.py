"""What to do with an HTTP answer, and how long to wait before asking again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from helix_ray.throttle.headers import error_message, error_object, read_rate_limit, retry_after


class VerdictKind(StrEnum):
    OK = "ok"
    RATE_LIMITED = "rate_limited"  # wait at the gate; costs the read no attempt
    RETRY = "retry"  # counts against retry.max_attempts
    REFUSE_RUN = "refuse_run"  # no request of this run will ever be served
    DEAD_LETTER = "dead_letter"  # this request will never be served


class Verdict(NamedTuple):
    kind: VerdictKind
    error_kind: str  # for error_kind of reads and api_calls; "" when ok
    message: str
    retry_after_s: float | None = None  # what the server asked for, on rate_limited and retry


_RUN_ENDING_CODES = {"model_decommissioned", "model_not_found", "blocked_api_access", "invalid_api_key"}
_TRANSIENT_CODES = {"json_validate_failed"}  # the model's slip, not the request's
_TRANSIENT_STATUSES = {408, 409, 425, 498, 499}  # 498: flex capacity exceeded


def classify(status: int, body: bytes, headers: Mapping[str, str]) -> Verdict:
    """The first taxonomy: by status and the body's ``code`` (Groq's error table). ``headers`` has lower-case keys."""
    if 200 <= status < 300:
        return Verdict(VerdictKind.OK, "", "")
    raw_code = error_object(body).get("code")
    code = raw_code if isinstance(raw_code, str) else ""
    message = error_message(body)
    if status in (429, 413):
        detail = read_rate_limit(headers, body)
        if status == 413 or detail.never_fits:
            return Verdict(VerdictKind.DEAD_LETTER, "request_too_large", message)
        return Verdict(VerdictKind.RATE_LIMITED, "rate_limited", message, detail.retry_after_s)
    if status in (401, 403, 404) or code in _RUN_ENDING_CODES:
        return Verdict(VerdictKind.REFUSE_RUN, code or f"http_{status}", message)
    if status in _TRANSIENT_STATUSES or code in _TRANSIENT_CODES or not 400 <= status < 500:
        return Verdict(VerdictKind.RETRY, code or f"http_{status}", message, retry_after(headers))
    return Verdict(VerdictKind.DEAD_LETTER, code or f"http_{status}", message)


def backoff_s(attempt: int, base: float, cap: float, random: Callable[[], float]) -> float:
    """Full jitter: a uniform share of ``min(cap, base × 2^(attempt-1))`` seconds. ``attempt`` is 1 after the first failure;
    ``random`` returns values in [0, 1). Source: AWS Architecture Blog, "Exponential Backoff and Jitter".
    """
    doublings = min(max(attempt, 1) - 1, 60)  # 2^60 × any base is above any cap, and still a float
    return random() * min(cap, base * 2.0**doublings)
