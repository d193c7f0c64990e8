"""The circuit breaker: while the API fails, it is asked by one request at a time, and ever more seldom."""

from __future__ import annotations

from collections import deque
from typing import Literal

from helix_ray.environment.logs import Event, event_logger

log = event_logger(__name__)

State = Literal["closed", "open", "half_open"]

_IN_A_ROW = 5
_LAST = 20
_MOST_FAILURES = _LAST // 2  # among the last 20
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
_PROBE_LOST_S = 120.0  # a probe that nobody speaks of any more, since its holder died


class Breaker:
    """Opens after 5 failures in a row, or 10 among the last 20 requests; then half-open probes after 1, 2, 4 … 30 s.

    A failure is an API that does not do its work: a 5xx, a lost connection, a deadline. Refusals with a reason (429, 498, any
    other 4xx) are none; call neither `succeeded` nor `failed` for them, but `unsent` if such a one ended a probe.

    Times are monotonic seconds. ``granted_at`` tells when the request was granted: what was under way when the breaker opened
    says nothing new, whichever way it ends.
    """

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=_LAST)  # True: failed
        self._in_a_row = 0
        self._open = False
        self._opened_at = float("-inf")
        self._until = float("-inf")
        self._next_wait_s = _FIRST_WAIT_S
        self._probe_at: float | None = None

    def state(self, now: float) -> State:
        if not self._open:
            return "closed"
        return "half_open" if self._probe_at is not None or now >= self._until else "open"

    def wait_s(self, now: float) -> float:
        """Until a request may be sent; 0: now. While a probe is out, the longest that it can take; its end comes first."""
        if not self._open:
            return 0.0
        if self._probe_at is not None:
            return max(0.0, self._probe_at + _PROBE_LOST_S - now)
        return max(0.0, self._until - now)

    def sent(self, now: float) -> None:
        """A request was granted. In an open breaker it is the probe."""
        if self._open:
            self._probe_at = now

    def unsent(self, now: float) -> None:
        """The probe ended without a word about the API's health (never sent, a 429): the next request is the probe."""
        self._probe_at = None

    def succeeded(self, now: float, granted_at: float | None = None) -> None:
        if self._open:
            if self._probe_at is None or not self._is_news(granted_at):
                return
            self._open, self._probe_at = False, None
            self._next_wait_s = _FIRST_WAIT_S
            log.info(Event.BREAKER_CLOSED)
        self._in_a_row = 0
        self._recent.append(False)

    def failed(self, now: float, granted_at: float | None = None) -> None:
        if not self._is_news(granted_at):
            return
        if self._open:
            if self._probe_at is not None:
                self._start_waiting(now)
            return
        self._in_a_row += 1
        self._recent.append(True)
        if self._in_a_row >= _IN_A_ROW or sum(self._recent) >= _MOST_FAILURES:
            log.warning(Event.BREAKER_OPENED, failures_in_a_row=self._in_a_row, failures_of_the_last_20=sum(self._recent))
            self._open = True
            self._start_waiting(now)

    def _is_news(self, granted_at: float | None) -> bool:
        return granted_at is None or granted_at >= self._opened_at

    def _start_waiting(self, now: float) -> None:
        self._opened_at = now
        self._until = now + self._next_wait_s
        self._next_wait_s = min(_LONGEST_WAIT_S, 2.0 * self._next_wait_s)
        self._probe_at = None
        self._in_a_row = 0
        self._recent.clear()
