"""What a reply comes to, independent of its provider's dialect: limits, completion, verdict. Tokens are counts, durations are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, NamedTuple, get_args

from helix_ray.records import TokenUsage

LimitKind = Literal["RPM", "RPD", "TPM", "TPD", "ITPM", "OTPM"]
LIMIT_KINDS: Final[tuple[LimitKind, ...]] = get_args(LimitKind)
"""Requests, tokens, input and output tokens, a minute or a day: the order in which they are shown."""
Trouble = Literal["capacity", "overload", "failure"]
"""What the API did instead of answering: 498, no room in the flex tier; 503, it has too much to do; or it failed (5xx, a lost
connection, a deadline). A 4xx or a 429 is no trouble: it answered.
"""


class LimitReading(NamedTuple):
    """The six ``x-ratelimit-*`` headers, and the windows of the two limits, seconds; None: these headers do not tell."""

    requests_limit: float | None = None
    requests_remaining: float | None = None
    requests_reset_s: float | None = None
    tokens_limit: float | None = None
    tokens_remaining: float | None = None
    tokens_reset_s: float | None = None
    requests_window_s: float | None = None
    tokens_window_s: float | None = None


class RateLimitDetail(NamedTuple):
    """What a 429 (or the 413 of a request that can never fit) says about the limit it met."""

    kind: LimitKind | None = None
    limit: float | None = None
    used: float | None = None
    requested: int | None = None
    retry_after_s: float | None = None  # the longer of the header and the body's "try again in"

    @property
    def never_fits(self) -> bool:
        """The request alone is larger than the limit: waiting changes nothing."""
        return self.requested is not None and self.limit is not None and self.requested > self.limit

    def exactly_used(self, window_s: float) -> float:
        """``used`` before the message rounded it, from the wait that it asks for: by the law of a bucket
        ``wait = (used + requested - limit) / limit × window``. The half that rounding hides would be the next 429. Without ``used``,
        the most that it can be. Precondition: the limit is named.
        """
        limit = self.limit or 0.0
        if self.used is None:
            return limit
        if self.requested is None or self.retry_after_s is None:
            return self.used + 0.5
        exact = limit - self.requested + self.retry_after_s * limit / window_s
        return min(max(exact, self.used - 0.5), self.used + 1.0)


@dataclass(frozen=True, slots=True)
class Completion:
    """One chat completion. Nothing of it is trusted but its shape."""

    content: str
    finish_reason: str | None
    refusal: str | None
    usage: TokenUsage | None
    model: str | None
    system_fingerprint: str | None
    service_tier: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class AnswerError:
    """Why an answer is not one."""

    kind: str  # broken_body | truncated | refused | parse_error | schema_error
    message: str


class VerdictKind(StrEnum):
    """What to do. Only `RETRY` and `RETRY_ONCE` can spend an attempt of a read."""

    OK = "answered"
    WAIT = "wait"  # in the throttle's cooldown, as long as the provider says
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
    """A row of a taxonomy. It fits an HTTP answer by status (and code, if it names any), a request without one by its error kind."""

    ending: str  # in words
    kind: VerdictKind
    statuses: range | tuple[int, ...] = ()
    codes: tuple[str, ...] = ()  # ``error.code`` of the body
    errors: tuple[str, ...] = ()  # error kinds of a request without an answer
    never_fits: bool = False  # only where the body says that the request alone is larger than the limit
    named: str | None = None  # its error kind; None: the body's code, or http_STATUS
    trouble: Trouble | None = None
    spends: bool = False

    def verdict(self, found: str, message: str, wait_s: float | None = None) -> Verdict:
        """``found``: the error kind of a row that names none."""
        again = self.kind in (VerdictKind.WAIT, VerdictKind.RETRY, VerdictKind.RETRY_ONCE, VerdictKind.OTHER_TIER)
        error_kind = found if self.named is None else self.named
        return Verdict(self.kind, error_kind, message, wait_s if again else None, self.trouble, self.spends)


def _unanswered(ending: str, *errors: str, spends: bool = True) -> Rule:
    return Rule(ending, VerdictKind.RETRY, errors=errors, trouble="failure", spends=spends)


UNANSWERED: tuple[Rule, ...] = (
    _unanswered("2xx, no completion: empty, cut off, HTML, no choices, wrong types", "broken_body"),
    _unanswered("not sent: refused, no such host, no connection in time", "connect", "connect_timeout", spends=False),
    _unanswered("sent, no answer: reset, closed, deadline, unreadable", "reset", "disconnected", "deadline", "unreadable", "transport"),
)
"""Every way in which a connection was seen to fail, the same for all providers."""


def unanswered(error_kind: str, message: str) -> Verdict:
    """What a request without a usable HTTP answer leads to; a kind that no row names counts as a lost answer."""
    rule = next((each for each in UNANSWERED if error_kind in each.errors), UNANSWERED[-1])
    return rule.verdict(error_kind, message)


class ReplyReading(NamedTuple):
    """All that an HTTP reply to a request for a completion says."""

    verdict: Verdict
    limits: LimitReading
    limited: RateLimitDetail | None = None  # the limit that the request met: of every 429, and of a 413 that names one
    completion: Completion | AnswerError | None = None  # AnswerError: a 2xx without one, maybe billed; None: an error, not billed
    request_id: str | None = None  # the provider's
