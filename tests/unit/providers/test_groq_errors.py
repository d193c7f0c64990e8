"""The taxonomy: what becomes of each ending of a request, the same in the documentation."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.providers.groq.errors import LONGEST_REST_S, TAXONOMY
from helix_ray.providers.groq.replies import read_reply
from helix_ray.providers.readings import Rule, Trouble, Verdict, VerdictKind, unanswered
from support import answer_bodies

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


def error(code: str | None, message: str = "because") -> bytes:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", "code": code}}).encode()


def classify(status: int, body: bytes, headers: dict[str, str]) -> Verdict:
    return read_reply(status, headers, body).verdict


TOO_LARGE = "on tokens per minute (TPM): Limit 7000, Used 0, Requested ~12903. Please try again in 50.5s"
Kind = VerdictKind
WAITS = {Kind.WAIT, Kind.RETRY, Kind.RETRY_ONCE, Kind.OTHER_TIER}


@pytest.mark.parametrize(
    ("status", "body", "kind", "error_kind", "trouble", "spends"),
    [
        (200, answer_bodies.body({}), Kind.OK, "", None, False),
        (429, error("rate_limit_exceeded"), Kind.WAIT, "rate_limited", None, False),
        (429, b"<html>", Kind.WAIT, "rate_limited", None, False),
        (429, error("rate_limit_exceeded", TOO_LARGE), Kind.SHRINK, "request_too_large", None, False),
        (413, error("rate_limit_exceeded"), Kind.SHRINK, "request_too_large", None, False),
        (413, b"<html>", Kind.SHRINK, "request_too_large", None, False),
        (401, error("invalid_api_key"), Kind.STOP, "invalid_api_key", None, False),
        (403, error(None), Kind.STOP, "http_403", None, False),
        (403, b"<html>blocked</html>", Kind.STOP, "http_403", None, False),
        (404, error("model_not_found"), Kind.STOP, "model_not_found", None, False),
        (404, b"<html>", Kind.STOP, "http_404", None, False),
        (400, error("model_decommissioned"), Kind.STOP, "model_decommissioned", None, False),
        (400, error("blocked_api_access"), Kind.STOP, "blocked_api_access", None, False),
        (400, error("json_validate_failed"), Kind.REPAIR, "json_validate_failed", None, False),
        (400, error(None), Kind.DEAD_LETTER, "http_400", None, False),
        (400, error("context_length_exceeded"), Kind.DEAD_LETTER, "context_length_exceeded", None, False),
        (402, b"", Kind.STOP, "http_402", None, False),
        (400, error("unsupported_value"), Kind.STOP, "unsupported_value", None, False),
        (429, error("insufficient_quota"), Kind.STOP, "insufficient_quota", None, False),
        (424, b"", Kind.DEAD_LETTER, "http_424", None, False),
        (422, b"", Kind.RETRY_ONCE, "http_422", None, True),
        (408, b"", Kind.RETRY, "http_408", None, True),
        (409, b"", Kind.RETRY, "http_409", None, True),
        (499, b"", Kind.RETRY, "http_499", None, True),
        (498, error("capacity_exceeded"), Kind.OTHER_TIER, "capacity_exceeded", "capacity", False),
        (498, b"", Kind.OTHER_TIER, "capacity_exceeded", "capacity", False),
        (503, b"", Kind.RETRY, "http_503", "overload", False),
        (500, error("internal_server_error"), Kind.RETRY, "internal_server_error", "failure", True),
        (502, b"<html>", Kind.RETRY, "http_502", "failure", True),
        (504, b"", Kind.RETRY, "http_504", "failure", True),
        (302, b"", Kind.STOP, "http_302", None, False),
        (999, b"", Kind.RETRY, "http_999", "failure", True),
    ],
)
def test_http_answers(status: int, body: bytes, kind: Kind, error_kind: str, trouble: Trouble | None, spends: bool) -> None:
    verdict = classify(status, body, {"retry-after": "40"})
    assert (verdict.kind, verdict.error_kind, verdict.trouble, verdict.spends) == (kind, error_kind, trouble, spends)
    assert (verdict.retry_after_s is not None) == (kind in WAITS)


@pytest.mark.parametrize(
    ("error_kind", "spends"),
    [
        ("connect", False),
        ("connect_timeout", False),
        ("reset", True),
        ("disconnected", True),
        ("deadline", True),
        ("unreadable", True),
        ("transport", True),
        ("broken_body", True),
        ("never heard of", True),
    ],
)
def test_requests_without_an_answer(error_kind: str, spends: bool) -> None:
    verdict = unanswered(error_kind, "why")
    assert verdict == (Kind.RETRY, error_kind, "why", None, "failure", spends)


def test_a_429_is_waited_for_as_long_as_it_says_and_an_error_for_a_bounded_time() -> None:
    day = "on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. Please try again in 9m38.016s."
    assert classify(429, error(None, day), {"retry-after": "579"}).retry_after_s == 579
    assert classify(429, error(None, day), {}).retry_after_s == 578.016
    assert classify(429, b"", {"retry-after": "86400"}).retry_after_s == 86400
    assert classify(503, b"", {"retry-after": "40"}).retry_after_s == 40
    assert classify(503, b"", {"retry-after": "432"}).retry_after_s == LONGEST_REST_S <= 60, "an outage may end long before"


@given(st.integers(-1, 1000), st.sampled_from([b"", b"<html>", b"[]", b'{"error": 5}', b'{"error": {"code": 5}}']))
def test_every_status_has_an_outcome(status: int, body: bytes) -> None:
    if status in range(1000):
        assert classify(status, body, {}).kind in Kind


def test_the_documentation_shows_the_same_table() -> None:
    text = OPERATIONS.read_text()
    begin = text.index("| what comes back |")
    shown = text[begin : text.index("\n\n", begin)].splitlines()
    assert shown[2:] == [_line(rule) for rule in TAXONOMY]


def _line(rule: Rule) -> str:
    spends = "when others are answered" if rule.spends else "no"
    return f"| {rule.ending} | {rule.kind.value} | {spends} | {rule.trouble or ''} |".replace("|  |", "| |")
