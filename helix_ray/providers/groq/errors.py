"""The taxonomy: what every ending of a request but an answer leads to, and how long a retry rests.

`TAXONOMY` is the only place where that is decided; docs/operations.md shows the same table. Its rows are Groq's documented and
observed errors, and every way in which a connection was seen to fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from helix_ray.providers.groq.headers import error_message, error_object, read_rate_limit, retry_after
from helix_ray.providers.readings import Trouble

LONGEST_REST_S = 600.0
"""However long a failing server asks to be left alone: its word on an error is a guess, unlike that of a 429."""


class VerdictKind(StrEnum):
    """What to do. Only `RETRY` and `RETRY_ONCE` can spend an attempt of a read."""

    OK = "answered"
    WAIT = "wait"  # at the throttle's gate, as long as the provider says
    RETRY = "retry"  # after a rest with full jitter
    RETRY_ONCE = "retry once"
    OTHER_TIER = "rest, or another tier"  # as analyzer.on_capacity_exceeded says
    SHRINK = "split or shrink"  # never the same size again
    REPAIR = "repair"  # the one that each read has, with twice the room
    STOP = "stop the run"  # no request of this run will ever be served
    DEAD_LETTER = "dead letter"  # this request will never be served; of several reads, each is asked about alone first


class Verdict(NamedTuple):
    kind: VerdictKind
    error_kind: str  # for error_kind of reads and api_calls; "" when answered
    message: str
    retry_after_s: float | None = None  # what the server asked for, where the request may come again
    trouble: Trouble | None = None
    spends: bool = False  # an attempt, if others are answered meanwhile


class Rule(NamedTuple):
    """One row. It fits an HTTP answer by status (and code, if it names codes), or a request without one by its error kind."""

    ending: str  # in words
    kind: VerdictKind
    statuses: range | tuple[int, ...] = ()
    codes: tuple[str, ...] = ()  # ``error.code`` of the body
    errors: tuple[str, ...] = ()  # error kinds of a request without an answer
    never_fits: bool = False  # only where the body says that the request alone is larger than the limit
    named: str | None = None  # its error kind; None: the body's code, or http_STATUS
    trouble: Trouble | None = None
    spends: bool = False


_STOPPING_CODES = ("model_decommissioned", "model_not_found", "blocked_api_access", "invalid_api_key")

TAXONOMY: tuple[Rule, ...] = (
    Rule("2xx, a completion", VerdictKind.OK, range(200, 300), named=""),
    Rule("429, larger than the limit alone", VerdictKind.SHRINK, (429,), never_fits=True, named="request_too_large"),
    Rule("429, a limit is used up", VerdictKind.WAIT, (429,), named="rate_limited"),
    Rule("413", VerdictKind.SHRINK, (413,), named="request_too_large"),
    Rule("401, 403, 404, HTML too", VerdictKind.STOP, (401, 403, 404)),
    Rule("4xx: model gone, spend limit, key", VerdictKind.STOP, range(400, 500), _STOPPING_CODES),
    Rule("4xx: invalid JSON generated", VerdictKind.REPAIR, range(400, 500), ("json_validate_failed",)),
    Rule("422", VerdictKind.RETRY_ONCE, (422,), spends=True),
    Rule("498, no room in the flex tier", VerdictKind.OTHER_TIER, (498,), named="capacity_exceeded", trouble="capacity"),
    Rule("408, 409, 425, 499", VerdictKind.RETRY, (408, 409, 425, 499), spends=True),
    Rule("503, over capacity", VerdictKind.RETRY, (503,), trouble="overload"),
    Rule("500, 502, any other 5xx, HTML too", VerdictKind.RETRY, range(500, 600), trouble="failure", spends=True),
    Rule("any other 4xx: parameters, context, 424", VerdictKind.DEAD_LETTER, range(400, 500)),
    Rule("3xx, which is not followed", VerdictKind.STOP, range(300, 400)),
    Rule("any other status", VerdictKind.RETRY, range(1000), trouble="failure", spends=True),
    Rule(
        "2xx, no completion: empty, cut off, HTML, no choices, wrong types",
        VerdictKind.RETRY,
        errors=("broken_body",),
        trouble="failure",
        spends=True,
    ),
    Rule(
        "not sent: refused, no such host, no connection in time",
        VerdictKind.RETRY,
        errors=("connect", "connect_timeout"),
        trouble="failure",
    ),
    Rule(
        "sent, no answer: reset, closed, deadline, unreadable",
        VerdictKind.RETRY,
        errors=("reset", "disconnected", "deadline", "unreadable", "transport"),
        trouble="failure",
        spends=True,
    ),
)


def classify(status: int, body: bytes, headers: Mapping[str, str]) -> Verdict:
    """What an HTTP answer leads to. ``headers`` has lower-case keys. A completion in a 2xx is for its reader to find."""
    if 200 <= status < 300:
        return Verdict(VerdictKind.OK, "", "")
    raw_code = error_object(body).get("code")
    code = raw_code if isinstance(raw_code, str) else ""
    detail = read_rate_limit(headers, body) if status in (429, 413) else None
    never_fits = detail is not None and detail.never_fits
    rule = next(each for each in TAXONOMY if _fits(each, status, code, never_fits))
    wait_s = detail.retry_after_s if detail is not None else retry_after(headers)
    if rule.kind is VerdictKind.RETRY and wait_s is not None:
        wait_s = min(wait_s, LONGEST_REST_S)
    return _verdict(rule, code or f"http_{status}", error_message(body), wait_s)


def classify_unanswered(error_kind: str, message: str) -> Verdict:
    """What a request without a usable HTTP answer leads to; a kind that no row names counts as a lost answer."""
    rule = next((each for each in TAXONOMY if error_kind in each.errors), TAXONOMY[-1])
    return _verdict(rule, error_kind, message, None)


def _fits(rule: Rule, status: int, code: str, never_fits: bool) -> bool:
    return status in rule.statuses and (never_fits or not rule.never_fits) and (not rule.codes or code in rule.codes)


def _verdict(rule: Rule, found: str, message: str, wait_s: float | None) -> Verdict:
    again = rule.kind in (VerdictKind.WAIT, VerdictKind.RETRY, VerdictKind.RETRY_ONCE, VerdictKind.OTHER_TIER)
    error_kind = found if rule.named is None else rule.named
    return Verdict(rule.kind, error_kind, message, wait_s if again else None, rule.trouble, rule.spends)
