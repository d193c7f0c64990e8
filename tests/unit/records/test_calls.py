"""What kind of failure of the API a request met."""

import pytest

from helix_ray.records import FAILURE_KINDS, NOT_THE_API, CallState, failure_kind

FAILED, UNKNOWN, ANSWERED = CallState.FAILED, CallState.POSSIBLY_BILLED, CallState.ANSWERED

ROWS = [
    (FAILED, 498, "capacity_exceeded", "capacity"),
    (FAILED, 503, "http_503", "overloaded"),
    (FAILED, 500, "internal_server_error", "server"),
    (FAILED, 502, "http_502", "server"),
    (UNKNOWN, None, "deadline", "transport"),
    (UNKNOWN, None, "reset", "transport"),
    (FAILED, None, "connect", "transport"),
    (UNKNOWN, 200, "broken_body", "unusable"),
    (FAILED, 400, "json_validate_failed", "rejected"),
    (FAILED, 422, "http_422", "rejected"),
    (FAILED, 429, "rate_limited", None),
    (FAILED, 429, "request_too_large", None),
    (ANSWERED, 200, None, None),
    (ANSWERED, 200, "schema_error", None),
    (CallState.INTENDED, None, None, None),
    *((UNKNOWN, None, kind, None) for kind in sorted(NOT_THE_API)),
]


@pytest.mark.parametrize(("state", "status", "error_kind", "kind"), ROWS)
def test_a_row_tells_what_the_api_did(state: CallState, status: int | None, error_kind: str | None, kind: str | None) -> None:
    assert failure_kind(state, status, error_kind) == kind


def test_every_kind_has_its_words() -> None:
    assert {kind for *_, kind in ROWS} == {*FAILURE_KINDS, None}
