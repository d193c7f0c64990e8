"""How servers count, and how they say so: each law is a row of `LAWS`.

Groq's headers and bodies follow published ones to the last digit, OpenAI's follow its guide to rate limits and published bodies.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from helix_ray.config.emulator import LawName
from helix_ray.emulator.published import NS, ORGANIZATION, UPGRADE, WINDOW_S, Headers, Refused, error_body, go_duration, wait_ns

_ACCOUNT = "Visit https://platform.openai.com/account/rate-limits to learn more."
_SHORT = {60: "min", 86_400: "day"}
_LONG = {60: "minute", 86_400: "day"}


Words = Callable[[Refused, str, str], str]
"""An error's message: refusal, model, service tier."""


class Law(NamedTuple):
    fixed: bool  # used falls to zero at the end of each window of the clock, else steadily
    requests: str  # the kind of limit that the headers of requests show, RPD where there is no such limit
    headers: bool  # the six x-ratelimit headers are sent, and errors name their limit
    retry_after: Callable[[int], Headers]  # headers of a 429, from the wait in nanoseconds
    reached: Words  # of a 429
    too_large: Words
    too_large_status: int

    def rate_limited(self, refused: Refused, model: str, service_tier: str) -> bytes:
        """The body of a 429."""
        return self._body(self.reached, refused, model, service_tier)

    def beyond(self, refused: Refused, model: str, service_tier: str) -> bytes:
        """The body for a request that no wait would let through."""
        return self._body(self.too_large, refused, model, service_tier)

    def _body(self, words: Words, refused: Refused, model: str, service_tier: str) -> bytes:
        facts = (counted(refused.kind), "rate_limit_exceeded") if self.headers else ()
        return error_body(words(refused, model, service_tier), *facts)


def counted(kind: str) -> str:
    return "requests" if kind[0] == "R" else "tokens"


def seconds(wait: int) -> Headers:
    return [(b"retry-after", b"%d" % ceil(wait / NS))]


def _milliseconds(wait: int) -> Headers:
    return [(b"retry-after-ms", b"%d" % ceil(wait / 1_000_000)), *seconds(wait)]


def _where(refused: Refused, model: str, service_tier: str) -> str:
    scope = f"{counted(refused.kind)} per {_LONG[WINDOW_S[refused.kind]]}"
    return f"for model `{model}` in organization `{ORGANIZATION}` service tier `{service_tier}` on {scope} ({refused.kind})"


def _groq(refused: Refused, model: str, service_tier: str) -> str:
    return (
        f"Rate limit reached {_where(refused, model, service_tier)}: Limit {refused.limit}, Used {refused.used}, "
        f"Requested {refused.requested}. Please try again in {go_duration(wait_ns(refused))}. {UPGRADE}"
    )


def _groq_too_large(refused: Refused, model: str, service_tier: str) -> str:
    return (
        f"Request too large {_where(refused, model, service_tier)}: Limit {refused.limit}, Requested {refused.requested}, "
        f"please reduce your message size and try again. {UPGRADE}"
    )


def _there(refused: Refused, model: str) -> str:
    scope = f"{counted(refused.kind)} per {_SHORT[WINDOW_S[refused.kind]]} ({refused.kind})"
    return f"for {model} in organization {ORGANIZATION} on {scope}: Limit {refused.limit}"


def _openai(refused: Refused, model: str, _: str) -> str:
    wait = go_duration(ceil(wait_ns(refused) / 1_000_000) * 1_000_000)
    return (
        f"Rate limit reached {_there(refused, model)}, Used {refused.used}, Requested {refused.requested}. "
        f"Please try again in {wait}. {_ACCOUNT}"
    )


def _openai_too_large(refused: Refused, model: str, _: str) -> str:
    words = "The input or output tokens must be reduced in order to run successfully."
    return f"Request too large {_there(refused, model)}, Requested {refused.requested}. {words} {_ACCOUNT}"


def _nothing(_: Refused, __: str, ___: str) -> str:
    return "Too Many Requests"


GROQ = Law(False, "RPD", True, seconds, _groq, _groq_too_large, 413)
OPENAI = Law(False, "RPM", True, _milliseconds, _openai, _openai_too_large, 429)
LAWS: dict[LawName, Law] = {
    "groq": GROQ,
    "openai": OPENAI,
    "fixed_windows": OPENAI._replace(fixed=True),
    "silent": Law(False, "RPM", False, lambda _: [], _nothing, lambda *_: "Request Entity Too Large", 413),
}
