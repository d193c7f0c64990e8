"""What becomes of each HTTP answer, and how long a retry waits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.throttle.retry import VerdictKind, backoff_s, classify


def error(code: str | None, message: str = "because") -> bytes:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", "code": code}}).encode()


TOO_LARGE = "on tokens per minute (TPM): Limit 7000, Used 0, Requested ~12903. Please try again in 50.5s"


@pytest.mark.parametrize(
    ("status", "body", "kind", "error_kind"),
    [
        (200, b"{}", VerdictKind.OK, ""),
        (429, error("rate_limit_exceeded"), VerdictKind.RATE_LIMITED, "rate_limited"),
        (429, b"<html>", VerdictKind.RATE_LIMITED, "rate_limited"),
        (429, error("rate_limit_exceeded", TOO_LARGE), VerdictKind.DEAD_LETTER, "request_too_large"),
        (413, error("rate_limit_exceeded"), VerdictKind.DEAD_LETTER, "request_too_large"),
        (401, error("invalid_api_key"), VerdictKind.REFUSE_RUN, "invalid_api_key"),
        (403, b"<html>blocked</html>", VerdictKind.REFUSE_RUN, "http_403"),
        (404, error("model_not_found"), VerdictKind.REFUSE_RUN, "model_not_found"),
        (400, error("model_decommissioned"), VerdictKind.REFUSE_RUN, "model_decommissioned"),
        (400, error("blocked_api_access"), VerdictKind.REFUSE_RUN, "blocked_api_access"),
        (400, error("json_validate_failed"), VerdictKind.RETRY, "json_validate_failed"),
        (400, error(None), VerdictKind.DEAD_LETTER, "http_400"),
        (422, b"", VerdictKind.DEAD_LETTER, "http_422"),
        (424, b"", VerdictKind.DEAD_LETTER, "http_424"),
        (408, b"", VerdictKind.RETRY, "http_408"),
        (498, error("capacity_exceeded"), VerdictKind.RETRY, "capacity_exceeded"),
        (500, b"", VerdictKind.RETRY, "http_500"),
        (502, b"<html>", VerdictKind.RETRY, "http_502"),
        (503, b"", VerdictKind.RETRY, "http_503"),
    ],
)
def test_verdicts(status: int, body: bytes, kind: VerdictKind, error_kind: str) -> None:
    verdict = classify(status, body, {"retry-after": "40"})
    assert (verdict.kind, verdict.error_kind) == (kind, error_kind)
    assert (verdict.retry_after_s is not None) == (kind in (VerdictKind.RETRY, VerdictKind.RATE_LIMITED))


@given(st.integers(-1, 10_000), st.floats(0.001, 100), st.floats(0.001, 1000), st.floats(0, 1, exclude_max=True))
def test_a_retry_waits_at_most_the_cap(attempt: int, base: float, cap: float, share: float) -> None:
    assert 0 <= backoff_s(attempt, base, cap, lambda: share) <= cap


def test_the_window_doubles() -> None:
    assert [backoff_s(attempt, 0.5, 30, lambda: 0.5) for attempt in (1, 2, 3, 8)] == [0.25, 0.5, 1.0, 15.0]
