"""One service tier of the API: its limits, and all else that decides when the next request may be sent there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Literal

from helix_ray.config import ThrottleConfig
from helix_ray.providers.rate_limits import DAY_S, KINDS
from helix_ray.providers.readings import LimitKind
from helix_ray.records import PastUse, ServiceTier
from helix_ray.throttle.door import PARK_FROM_S, Door
from helix_ray.throttle.limit_set import NO_WAIT, Limits, Wait
from helix_ray.throttle.messages import BucketStats, PermitRequest, Settlement
from helix_ray.throttle.permits import OutstandingPermit
from helix_ray.throttle.requests_in_flight import RequestsInFlight

_PROVEN = 1000
"""Answers before permits are leased ahead: what is leased is refused when a limit that nothing shows is met for the first time."""
_EARLY_S = 2.0  # an account that is wrong by less is not wrong


class TierLimiter:
    """Admits a request iff every bucket has room, the door is open, fewer requests are in flight than may be, and no probe is
    under way.

    A probe is a request that is sent alone: the first one (an invalid key is to be refused once, and its headers name the
    limits), and every one while the door is closed. If it fails, the next one is the probe. For a server that shows no limit, one
    answer ends the probing.
    """

    def __init__(self, tier: ServiceTier, config: ThrottleConfig, most_in_flight: int) -> None:
        self.tier = tier
        self.limits = Limits(config)
        self.door = Door()
        self.requests_in_flight = RequestsInFlight(most_in_flight)
        self.has_answered = False  # the API answered a request
        self.served = 0
        self.used = False
        self._in_flight: dict[int, OutstandingPermit] = {}
        self._probe: int | None = None  # the number of its permit
        self._early = False  # our account of the day has no room for the probe

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def must_probe(self) -> bool:
        return not self.has_answered or self.door.probes

    def restore(self, past: Sequence[PastUse] | None, limits: Mapping[str, float], now: float) -> None:
        """Set what was taken from all tiers before the first grant (None: not known), and the limits of all, by `bucket_stats`' names."""
        own = {name.removesuffix(self._suffix): limit for name, limit in limits.items() if name.endswith(self._suffix)}
        self.limits.restore(None if past is None else [use for use in past if use.service_tier == self.tier], own, now)

    def wait(self, request: PermitRequest, now: float) -> Wait:
        """How long this request waits if it is the next one of the tier, and for what."""
        minute, day, own_day = self.limits.waits(request, now)
        if own_day.seconds == 0.0:
            self.door.room(now)
        for wait, own in ((day, False), (own_day, True)):
            if wait.seconds is not None and wait.reason is not None and wait.seconds >= PARK_FROM_S:
                self.door.used_up(wait.reason, now, own=own)
        if self._probe is not None and self.must_probe:
            return Wait(None, self._closed_by)
        if self.in_flight >= self.door.most:
            return Wait(None, "daily")
        if self.requests_in_flight.held_down and self.in_flight >= self.requests_in_flight.limit:
            return Wait(None, "concurrency")
        if self.door.reason != "daily":
            probe = Wait(self.door.wait_s(self._returning(minute), now), self._closed_by)
            # What closed it and named no limit may be over before our account, which was learned from it, has room.
            minute = NO_WAIT if self.door.reason == "cooldown" and self.door.limit is None else minute
            return minute.longer(probe).longer(day).longer(own_day)
        day_s = self.door.wait_s(day.seconds, now) if self.door.probes else day.seconds
        return minute.longer(Wait(day_s, "daily")).longer(Wait(own_day.seconds, "daily"))

    def has_ample_room(self, request: PermitRequest, now: float) -> bool:
        """Whether permits may be leased ahead of their use: nobody else needs them, and no answer is awaited that may close the door."""
        calm = self.served >= _PROVEN and self.door.reason is None and self.door.most == inf and not self.requests_in_flight.held_down
        return calm and self.limits.have_ample_room(request, now)

    def give(self, permit: OutstandingPermit, now: float) -> None:
        """Record a grant. Precondition: `wait` returned 0 seconds for this request at ``now``."""
        if self.must_probe:
            self._probe = permit.number
        if self.door.probes:
            minute, day, _ = self.limits.waits(permit.request, now)
            day_s = day.seconds
            self.door.probing(day_s if self.door.reason == "daily" else self._returning(minute), now)
            self._early = day_s is None or day_s > _EARLY_S
        permit.reservations.update(self.limits.reserve(permit.request, permit.number, now))
        self._in_flight[permit.number] = permit
        self.used = True

    def settle(self, permit: OutstandingPermit, settlement: Settlement, now: float) -> None:
        """End a request. ``answered`` also for an answer that cannot be read."""
        outcome, trouble = settlement.outcome, settlement.trouble
        timed_out = outcome == "unknown" and trouble == "failure"
        if not self.must_probe and (outcome == "answered" or trouble is not None):
            overloaded = timed_out or trouble in ("overload", "capacity")
            self.requests_in_flight.ended(overloaded, self.in_flight, permit.granted_at, now)
        del self._in_flight[permit.number]
        if outcome == "answered":
            self._answered(permit, settlement, now)
        elif outcome == "unknown":
            self.limits.keep_whole(permit.reservations, now)
        else:
            self._refused(permit, settlement, now)
        if trouble in ("overload", "failure"):
            self.door.failed(permit.granted_at, now)
        if self._probe == permit.number:
            self._probe = None
            self._early = False
            if settlement.limited is None:
                self.door.undecided(now)

    def daily_stop(self, request: PermitRequest, now: float) -> str | None:
        """Why this request cannot be served today; None while it can."""
        name = self.door.limit
        if name is None or self.door.reason != "daily":
            return None
        waits = self.limits.waits(request, now)
        seconds = max(waits.day.seconds or 0.0, waits.own_day.seconds or 0.0)
        if 0.0 < seconds < PARK_FROM_S:
            return None
        stats = self.limits[name].stats(now, now)
        used = "" if stats is None else f": {stats.limit - stats.credit:.0f} of {stats.limit:.0f} are used"
        again = f"; room for the next request in about {_spelled(seconds)}" if seconds > 0 else ""
        return f"the daily limit {name} is used up ({self.tier}){used}{again}"

    def breaker(self, now: float) -> Literal["closed", "open", "half_open"]:
        if self.door.reason != "failing":
            return "closed"
        return "half_open" if self._probe is not None or self.door.wait_s(None, now) == 0.0 else "open"

    def bucket_stats(self, now: float, until: float) -> dict[str, BucketStats]:
        """By the limit's name; with the tier behind it for all but the usual tier."""
        if not self.used and self.tier != "on_demand":
            return {}
        return {f"{name}{self._suffix}": stats for name, stats in self.limits.stats(now, until).items()}

    def _answered(self, permit: OutstandingPermit, settlement: Settlement, now: float) -> None:
        self.has_answered = True
        self.served += 1
        if settlement.usage is None:
            self.limits.keep_whole(permit.reservations, now)
        else:
            self.limits.answered(permit.request, permit.reservations, settlement.usage, settlement.reading, now)
        limit, reason, since = self.door.limit, self.door.reason, self.door.since
        surprised = self._early and self._probe == permit.number
        self.door.answered(permit.granted_at, surprised, now)
        if reason == "daily" and surprised and limit is not None and self.door.reason is None:
            self.limits.overrule(limit, settlement.reading, now)
        elif reason == "cooldown" and self.door.reason is None:
            self.limits.probed(now - since, now)
        elif reason == "failing" and self.door.reason is None:
            self.requests_in_flight.outage_over()

    def _refused(self, permit: OutstandingPermit, settlement: Settlement, now: float) -> None:
        self.limits.give_back(permit.reservations, settlement.reading, now)
        limited = settlement.limited
        if limited is None:
            return
        self.has_answered = True
        in_flight = [each.reservations for each in self._in_flight.values()]
        probe = self._probe == permit.number and self.door.reason is not None
        name = self.limits.refused(limited, permit.request, permit.reservations, settlement.reading, in_flight, now, probe=probe)
        if not limited.never_fits:  # a 413: nothing to wait for
            self.door.refused(name, _is_daily(limited.kind), limited.retry_after_s, permit.granted_at, now)

    def _returning(self, minute: Wait) -> float | None:
        """By our account, of the limit that closed the door; None: requests that end do not return any of it."""
        limit = self.door.limit
        return minute.seconds if limit is not None and KINDS[limit].completion else None

    @property
    def _suffix(self) -> str:
        return "" if self.tier == "on_demand" else f" {self.tier}"

    @property
    def _closed_by(self) -> str | None:
        return {"daily": "daily", "failing": "breaker"}.get(self.door.reason or "", self.door.limit)


def _is_daily(kind: LimitKind | None) -> bool:
    return kind is not None and KINDS[kind].window_s == DAY_S


def _spelled(seconds: float) -> str:
    minutes, hours = round(seconds / 60), round(seconds / 3600, 1)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min" if minutes < 120 else f"{hours} h"
