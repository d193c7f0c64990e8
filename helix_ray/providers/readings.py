"""What an answer says of limits: their kinds, the headers, the body of a 429. Tokens are counts, durations are seconds."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

LimitKind = Literal["RPM", "RPD", "TPM", "TPD", "ITPM", "OTPM"]
LIMIT_KINDS: Final[tuple[LimitKind, ...]] = get_args(LimitKind)
"""Requests, tokens, input and output tokens, a minute or a day: the order in which they are shown."""
ServiceTier = Literal["on_demand", "flex"]
Trouble = Literal["capacity", "overload", "failure"]
"""What the API did instead of answering: 498, no room in the flex tier; 503, it has too much to do; or it failed (5xx, a lost
connection, a deadline). A 4xx or a 429 is no trouble: it answered.
"""


class LimitReading(NamedTuple):
    """The six ``x-ratelimit-*`` headers. On Groq, requests are per day (RPD) and tokens per minute (TPM)."""

    requests_limit: float | None = None
    requests_remaining: float | None = None
    requests_reset_s: float | None = None
    tokens_limit: float | None = None
    tokens_remaining: float | None = None
    tokens_reset_s: float | None = None


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
