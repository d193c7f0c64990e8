"""Waiting for a day's limit to come back."""

from __future__ import annotations

from math import inf

from helix_ray.environment.logs import Event, event_logger

log = event_logger(__name__)

PARK_FROM_S = 10.0
"""A day's limit that makes a request wait for less only paces the run."""

_INTERVALS_S = (10.0, 20.0, 40.0, 45.0)  # between probes; the last one repeats
_SAME_S = 60.0  # used up again that soon, it is the same episode
_FULL_SPEED = 64  # requests in flight, from which there is no bound any more


class Park:
    """While a day's limit is used up, nothing goes out but one probe at a time, at growing intervals.

    The account of such a limit can be far off (another client, a quota that comes back early), and so can the wait that a
    429 asks for, so neither is believed for longer than 45 s. Both are used to ask earlier than that, exactly when they say
    that there is room again; a refusal then ends that trust until the limit is back.

    After a probe that the account had no room for, requests in flight double with every success, beginning with two.
    """

    def __init__(self) -> None:
        self.limit: str | None = None  # the one that is used up
        self.since = -inf
        self.most = inf  # requests in flight
        self._own = False  # a configured limit: there is nobody to ask, only time helps
        self._step = 0
        self._probe_at = inf
        self._fits_at = inf
        self._asked_early = False
        self._trusted = True
        self._left_at = -inf

    def used_up(self, limit: str, now: float, *, own: bool = False) -> None:
        """Our account has no room for long."""
        if self.limit is None:
            self._enter(limit, now)
            self._own = own

    def refused(self, limit: str, wait_s: float | None, granted_at: float, now: float) -> None:
        """A 429 named it. ``wait_s``: what it asked for; ``granted_at``: of the refused request."""
        if self.limit is None:
            self._enter(limit, now)
        elif self._own:
            self._own = False
            self._probe_at = now + self._interval_s
        elif granted_at > self.since:
            self._trusted &= not self._asked_early
            self._step = min(self._step + 1, len(_INTERVALS_S) - 1)
            self._probe_at = now + self._interval_s
        else:  # it was under way before the first refusal was known
            return
        self.limit = limit
        self._fits_at = now + wait_s if wait_s is not None and wait_s > 0 else inf

    def wait_s(self, account_s: float | None, now: float) -> float:
        """Until the next probe. ``account_s``: until our account has room; None: not known."""
        return max(0.0, min(self._probe_at, self._early(account_s, now)) - now)

    def next_probe_in_s(self, now: float) -> float:
        """As far as it is known without a request in hand; 0 when nothing is to be asked."""
        return self.wait_s(None, now) if self.probes else 0.0

    def probing(self, account_s: float | None, now: float) -> None:
        """A probe goes out."""
        self._asked_early = now < self._probe_at and self._early(account_s, now) <= now

    def undecided(self, now: float) -> None:
        """A probe ended without an answer about the limit."""
        self._probe_at = max(self._probe_at, now + self._interval_s)
        self._fits_at = inf

    def room(self, now: float) -> None:
        """Time alone made room in a configured limit."""
        if self._own:
            self._own = False
            self._leave(now)

    @property
    def probes(self) -> bool:
        """The provider's limit is used up, so it is asked now and then."""
        return self.limit is not None and not self._own

    def passed(self, granted_at: float, surprised: bool, now: float) -> None:
        """A request was served. ``surprised``: our account had no room for it."""
        if self.limit is None:
            self.most = inf if self.most >= _FULL_SPEED else self.most * 2
        elif not self._own and granted_at > self.since:
            self._leave(now)
            if surprised:
                self.most = 2

    def _enter(self, limit: str, now: float) -> None:
        if now - self._left_at > _SAME_S:
            self.since = now
            self._step = 0
            self._trusted = True
            log.warning(Event.DAY_PARKED, limit=limit)
        self.limit = limit
        self.most = inf
        self._own = False
        self._probe_at = now + self._interval_s
        self._fits_at = inf

    def _leave(self, now: float) -> None:
        log.warning(Event.DAY_ENDED, limit=self.limit, parked_s=round(now - self.since, 1))
        self.limit = None
        self._left_at = now

    def _early(self, account_s: float | None, now: float) -> float:
        if not self._trusted:
            return inf
        return min(self._fits_at, inf if account_s is None else now + account_s)

    @property
    def _interval_s(self) -> float:
        return _INTERVALS_S[self._step]
