"""What headers and bodies say about limits, by Groq, OpenAI, Azure, vLLM and servers like them. What is not understood is None.

Headers are ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}`` and ``retry-after`` (seconds, or an HTTP date beside ``date``) or
``retry-after-ms``. The window that a limit is for is told by no name: Groq's requests are a day's, OpenAI's a minute's. It follows
from limit, remaining and reset, see `window_of`. The sentence of a 429 is the only place where other limits show themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from helix_ray.providers.readings import LIMIT_KINDS, LimitKind, LimitReading, RateLimitDetail

MINUTE_S = 60.0
DAY_S = 86_400.0


class LimitDefinition(NamedTuple):
    """The window of one of the provider's limits, and how much of it a request takes."""

    window_s: float
    config_key: str  # in the section ``throttle``
    requests: int
    prompt: int
    completion: int

    def amount(self, prompt_tokens: int, completion_tokens: int, requests: int = 1) -> float:
        """What requests take. At admission ``completion_tokens`` is the most they may use. Cached prompt tokens are free once a
        request is settled.
        """
        return float(self.requests * requests + self.prompt * prompt_tokens + self.completion * completion_tokens)


def _definition(kind: LimitKind) -> LimitDefinition:
    """``ITPM`` is read as: input tokens, per minute."""
    window_s, window = (DAY_S, "day") if kind.endswith("D") else (MINUTE_S, "minute")
    counted = {"R": ("requests", 1, 0, 0), "T": ("tokens", 0, 1, 1), "IT": ("input_tokens", 0, 1, 0), "OT": ("output_tokens", 0, 0, 1)}
    name, *takes = counted[kind[:-2]]
    return LimitDefinition(window_s, f"{name}_per_{window}", *takes)


KINDS: dict[str, LimitDefinition] = {kind: _definition(kind) for kind in LIMIT_KINDS}

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
_MAX_NS = 2**63 - 1  # a Go duration is an int64 of nanoseconds
_LIMIT = re.compile(
    r"\b(?:on )?(input |output )?(tokens|requests) per (min|day)(?:ute)?(?: \((?:TPM|TPD|RPM|RPD|ITPM|OTPM)\))?[:.] "
    r"Limit:? ([0-9]+)(?: / \w+)?(?:(?:, Used|\. Current:) ([0-9]+)(?: / \w+)?)?(?:, Requested ~?([0-9]+))?"
)
_BARE = re.compile(r"\b(RPM|RPD|TPM|TPD) limit=([0-9]+)[,.] current usage=([0-9]+)", re.IGNORECASE)  # LiteLLM's proxy
_AGAIN = re.compile(r"(?:try again in|retry after) ([0-9hmsµμun.]+)(?: (seconds?|milliseconds?))?")
_WINDOWS_S = (MINUTE_S, 3_600.0, DAY_S)


def read_limits(headers: Mapping[str, str]) -> LimitReading:
    """The six headers; keys are lower case."""
    requests, tokens = (
        (
            _positive(headers.get(f"x-ratelimit-limit-{what}")),
            _number(headers.get(f"x-ratelimit-remaining-{what}")),
            _reset(headers.get(f"x-ratelimit-reset-{what}", "")),
        )
        for what in ("requests", "tokens")
    )
    return LimitReading(*requests, *tokens, window_of(*requests), window_of(*tokens))


def window_of(limit: float | None, remaining: float | None, reset_s: float | None) -> float | None:
    """Seconds of the window that a limit is for; None: these three do not tell.

    A bucket that refills continuously is full again after ``used / limit × window``, a window of the clock or a sliding one ends
    within its length.
    """
    if limit is None or reset_s is None or reset_s <= 0:
        return None
    rounding = 1.0 if reset_s == int(reset_s) else 0.01 + 0.05 * reset_s
    used = 0.0 if remaining is None else limit - remaining
    for window_s in _WINDOWS_S if used > 0 else ():
        if abs(reset_s - used / limit * window_s) <= rounding:
            return window_s
    return next((window_s for window_s in _WINDOWS_S if reset_s <= window_s + 1.0), None)


def read_rate_limit(headers: Mapping[str, str], message: str) -> RateLimitDetail:
    """What a 429 or 413 says. ``message`` is its sentence; ``retry_after_s`` is the longer of the header (in whole seconds) and that."""
    named, again = _LIMIT.search(message), _AGAIN.search(message)
    waits = (retry_after(headers), _spoken(again[1].rstrip("."), again[2]) if again else None)
    longest = max((wait for wait in waits if wait is not None), default=None)
    if named is None:
        bare = _BARE.search(message)
        if bare is None:
            return RateLimitDetail(retry_after_s=longest)
        known = next(each for each in LIMIT_KINDS if each == bare[1].upper())
        most_used = min(float(bare[3]), float(bare[2]))  # it counts what it refuses
        return RateLimitDetail(known, _positive(bare[2]), most_used, retry_after_s=longest)
    way, counted, window, limit, used, requested = named.groups()
    kind = f"{(way or ' ')[0].upper().strip()}{counted[0].upper()}P{window[0].upper()}"
    return RateLimitDetail(
        kind=next((each for each in LIMIT_KINDS if each == kind), None),
        limit=_positive(limit),
        used=None if used is None else float(used),
        requested=None if requested is None else int(requested),
        retry_after_s=longest,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, 0 and up: the finer of ``retry-after-ms`` and ``retry-after``, which LiteLLM's proxy gives a prefix."""
    milliseconds, text = _number(headers.get("retry-after-ms")), headers.get("retry-after", headers.get("llm_provider-retry-after"))
    seconds = _number(text) if milliseconds is None else milliseconds / 1000
    if seconds is None and text is not None and "date" in headers:
        try:
            seconds = (parsedate_to_datetime(text) - parsedate_to_datetime(headers["date"])).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return seconds if seconds is not None and 0 <= seconds <= _MAX_NS / 1e9 else None


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


def _spoken(text: str, unit: str | None) -> float | None:
    if unit is None:
        return parse_go_duration(text)
    number = _number(text)
    return number / 1000 if number is not None and unit.startswith("milli") else number


def _reset(text: str) -> float | None:
    """A Go duration, or plain seconds; a point in time is not understood."""
    number = _number(text)
    return parse_go_duration(text) if number is None else number if 0 <= number <= 2 * _WINDOWS_S[-1] else None


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
