"""The door of a service tier: while it is closed, nothing is sent but one probe at a time."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Literal

from helix_ray.environment.logs import Event, event_logger

log = event_logger(__name__)

Reason = Literal["cooldown", "daily", "failing"]
PARK_FROM_S = 10.0
"""A day's limit that makes a request wait for less only paces the run."""

_BELIEVED_S = 60.0  # the longest wait for a limit of the minute
_GUESSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # between probes when no wait is asked for; the last one repeats
_NAMELESS_S = (1.0, 2.0, 4.0, *6 * (8.0,), 16.0, 30.0)  # of a 429 that names no limit: of the minute, most likely
_DOUBTS_S = (10.0, 20.0, 40.0, 45.0)  # when a day's limit, or a longer wait than is believed, keeps it closed
_RETURNED_S = 2.0  # a shorter wait is kept, whatever our account says
_SAME_S = 60.0  # a day's limit that is used up again that soon is the same episode
_FULL_SPEED = 64  # requests in flight, from which there is no bound any more
_FAILURES_IN_A_ROW, _LAST, _MOST_FAILURES = 5, 20, 10


class Door:
    """Closed by a 429 (cooldown, or daily when it names a limit of the day) and by failures: 5 in a row, or 10 of the last 20.

    One rule for all. A probe goes out as soon as the provider's wait is over, and whatever that wait is, no later than the next
    of a series of growing intervals says: `bound_s`. Only a wait of a minute or less, which no day's limit asked for, is kept to
    the end, unless answers returned reserved tokens: a server whose windows are the clock's asks for the rest of one. A refused
    probe makes the interval longer, an answered one opens the door, and one that ends without either (not sent, another error)
    hands its place to the next request. After that requests in flight double with every answer, beginning with two, where no
    account of ours says what there is room for.

    Times are monotonic seconds. A request that was granted before the door closed says nothing new, whichever way it ends.
    """

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self.limit: str | None = None  # the one that is used up, where it was named
        self.since = -inf
        self.most = inf  # requests in flight
        self._own = False  # a configured limit of the day: there is nobody to ask, only time helps
        self._closed_at = -inf  # the last refusal that was news
        self._step = 0
        self._intervals: tuple[float, ...] = _GUESSES_S
        self._probe_at = inf
        self._asked_until = inf  # by the provider
        self._trusted = True  # room that our account or the provider foretold was there
        self._asked_early = False
        self._opened_at = -inf
        self._was_daily = False
        self._recent: deque[bool] = deque(maxlen=_LAST)  # True: failed

    @property
    def probes(self) -> bool:
        return self.reason is not None and not self._own

    @property
    def bound_s(self) -> float:
        """The longest time between two probes, seconds; 0: nothing is probed."""
        if not self.probes:
            return 0.0
        return _BELIEVED_S if self.reason == "cooldown" and self._intervals is not _DOUBTS_S else self._intervals[-1]

    def wait_s(self, account_s: float | None, now: float) -> float:
        """Until the next probe. ``account_s``: until our account of the limit has room; None: not known."""
        if not self.probes:
            return 0.0
        return max(0.0, min(self._probe_at, self._early(account_s, now)) - now)

    def refused(self, limit: str | None, daily: bool, asked_s: float | None, granted_at: float, now: float) -> None:
        """A 429. ``asked_s``: the wait that it asks for; "at once" is what was just tried, so 0 asks for nothing."""
        asked = asked_s if asked_s is not None and asked_s > 0 else None
        if daily and self.reason == "daily":
            if self._own:
                self._own = False
            elif granted_at <= self._closed_at:
                return
        elif self.reason is not None and not daily and granted_at <= self._closed_at:  # of the same burst
            if asked is not None and asked <= _BELIEVED_S and self._intervals is not _DOUBTS_S:
                self._probe_at = max(self._probe_at, now + asked)
            return
        self._close("daily" if daily else "cooldown", limit, asked, now)

    def used_up(self, limit: str, now: float, *, own: bool) -> None:
        """Our account of a day's limit has no room for long. ``own``: of a configured limit."""
        if self.reason is None:
            self._close("daily", limit, None, now)
            self._own = own

    def failed(self, granted_at: float, now: float) -> None:
        """A 5xx, a lost connection, a deadline."""
        if granted_at <= self._closed_at:
            return
        if self.reason is None:
            self._recent.append(True)
            if list(self._recent)[-_FAILURES_IN_A_ROW:].count(True) < _FAILURES_IN_A_ROW and sum(self._recent) < _MOST_FAILURES:
                return
        elif self._own:
            return
        self._close("failing", None, None, now)

    def answered(self, granted_at: float, surprised: bool, now: float) -> None:
        """A request was served. ``surprised``: our account of the day had no room for it."""
        if self.reason is None:
            self._recent.append(False)
            self.most = inf if self.most >= _FULL_SPEED else self.most * 2
        elif not self._own and granted_at > self._closed_at:
            if surprised or self.limit is None:
                self.most = 2
            self._open(now)

    def probing(self, account_s: float | None, now: float) -> None:
        """A probe goes out."""
        self._asked_early = now < self._probe_at and self._early(account_s, now) <= now

    def undecided(self, now: float) -> None:
        """A probe ended without an answer about the limit."""
        if self.reason == "daily":
            self._probe_at = max(self._probe_at, now + self._intervals[self._step])
            self._asked_until = inf

    def room(self, now: float) -> None:
        """Time alone made room in a configured limit."""
        if self._own:
            self._own = False
            self._open(now)

    def _close(self, reason: Reason, limit: str | None, asked_s: float | None, now: float) -> None:
        daily = reason == "daily"
        if self.reason is None:
            fresh = not (daily and self._was_daily and now - self._opened_at <= _SAME_S)
        else:
            fresh = daily != self._was_daily
            self._trusted &= not self._asked_early
            self._step += 1
        if fresh:
            self.since, self._step, self._trusted = now, 0, True
        if fresh or reason != self.reason:
            self._log_closed(reason, limit, asked_s)
        self._was_daily = daily
        self._asked_early = False
        long = daily or (asked_s is not None and asked_s > _BELIEVED_S)
        self._intervals = _DOUBTS_S if long else _NAMELESS_S if reason == "cooldown" and limit is None else _GUESSES_S
        self._step = min(self._step, len(self._intervals) - 1)
        self._asked_until = inf if asked_s is None else now + asked_s
        kept = asked_s is not None and self._intervals is not _DOUBTS_S
        interval_s = self._intervals[self._step]
        self._probe_at = now + (interval_s if asked_s is None or not kept else max(asked_s, interval_s if self._step else 0.0))
        self.reason, self.limit, self._own, self.most = reason, limit, False, inf
        self._closed_at = now

    def _open(self, now: float) -> None:
        if self.reason == "daily":
            log.warning(Event.DAY_ENDED, limit=self.limit, parked_s=round(now - self.since, 1))
        elif self.reason == "failing":
            log.info(Event.BREAKER_CLOSED)
        self.reason = self.limit = None
        self._opened_at = now
        self._recent.clear()

    def _early(self, account_s: float | None, now: float) -> float:
        if not self._trusted:
            return inf
        if self._intervals is not _DOUBTS_S:  # requests that ended gave back what they had reserved
            returned = self.reason == "cooldown" and self.limit is not None and account_s == 0.0
            return now if returned and self._probe_at - now > _RETURNED_S else inf
        return min(self._asked_until, inf if account_s is None or self.reason != "daily" else now + account_s)

    def _log_closed(self, reason: Reason, limit: str | None, asked_s: float | None) -> None:
        if reason == "daily":
            log.warning(Event.DAY_PARKED, limit=limit)
        elif reason == "failing":
            log.warning(Event.BREAKER_OPENED, failures_of_the_last_20=sum(self._recent))
        else:
            log.info(Event.COOLDOWN_CLOSED, limit=limit, seconds=_GUESSES_S[0] if asked_s is None else round(asked_s, 1))
