"""One service tier of the API: its limits, and all else that decides when the next request may be sent there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from helix_ray.config import ThrottleConfig
from helix_ray.environment.logs import Event, event_logger
from helix_ray.providers.readings import LimitKind
from helix_ray.records import PastUse, ServiceTier
from helix_ray.throttle.limits.limit_set import DAY_S, KINDS, Limits, Wait
from helix_ray.throttle.messages import BucketStats, PermitRequest, Settlement
from helix_ray.throttle.permits.outstanding import OutstandingPermit
from helix_ray.throttle.tier.breaker import Breaker
from helix_ray.throttle.tier.concurrency import Concurrency
from helix_ray.throttle.tier.gate import Gate
from helix_ray.throttle.tier.park import PARK_FROM_S, Park

log = event_logger(__name__)

_EARLY_S = 2.0  # an account that is wrong by less is not wrong


class TierLimiter:
    """Admits a request iff every bucket has room, the gate and the breaker are open, fewer requests are in flight than the
    concurrency limit, no day's limit is used up, and no probe is under way.

    A probe is a request that is sent alone: the first one (an invalid key is to be refused once, and its headers name the
    limits), the first one after the gate was closed, and every one while a day's limit is used up or the breaker is half open.
    If it fails, the next one is the probe. For a server that shows no limit, one answer ends the probing.
    """

    def __init__(self, tier: ServiceTier, config: ThrottleConfig, most_in_flight: int) -> None:
        self.tier = tier
        self.limits = Limits(config)
        self.gate = Gate()
        self.park = Park()
        self.breaker = Breaker()
        self.concurrency = Concurrency(most_in_flight) if config.adaptive_concurrency else None
        self._most_in_flight = most_in_flight
        self.has_answered = False  # the API answered a request
        self.used = False
        self._in_flight: dict[int, OutstandingPermit] = {}
        self._probe: int | None = None  # the number of its permit
        self._early = False  # our account of the day has no room for the probe

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def raise_most_in_flight(self, most_in_flight: int) -> None:
        """Callers can make more requests than before: the concurrency limit is learned anew. Fewer need no action."""
        if self.concurrency is not None and most_in_flight > self._most_in_flight:
            self.concurrency, self._most_in_flight = Concurrency(most_in_flight), most_in_flight

    def must_probe(self, now: float) -> bool:
        return not self.has_answered or self.gate.cautious or self.park.probes or self.breaker.state(now) != "closed"

    def restore(self, past: Sequence[PastUse] | None, now: float) -> None:
        """Set what was taken from all tiers before the first grant; None: not known."""
        self.limits.restore(None if past is None else [use for use in past if use.service_tier == self.tier], now)

    def wait(self, request: PermitRequest, now: float) -> Wait:
        """How long this request waits if it is the next one of the tier, and for what."""
        waits = self.limits.waits(request, now)
        self._watch_the_day(waits.day, waits.own_day, now)
        if self._probe is not None and self.must_probe(now):
            return Wait(None, self._cautious_for(now))
        if self.in_flight >= self.park.most:
            return Wait(None, "daily")
        if self.concurrency is not None and self.in_flight >= self.concurrency.limit:
            return Wait(None, None if self.concurrency.starting else "concurrency")
        wait = waits.minute.longer(Wait(self.gate.closed_for_s(now), self.gate.limit))
        wait = wait.longer(Wait(self.breaker.wait_s(now), "breaker"))
        if self.park.limit is None:
            return wait.longer(waits.day).longer(waits.own_day)
        day_s = self.park.wait_s(waits.day.seconds, now) if self.park.probes else waits.day.seconds
        return wait.longer(Wait(day_s, "daily")).longer(Wait(waits.own_day.seconds, "daily"))

    def give(self, permit: OutstandingPermit, now: float) -> None:
        """Record a grant. Precondition: `wait` returned 0 seconds for this request at ``now``."""
        if self.must_probe(now):
            self._probe = permit.number
        if self.park.probes:
            day_s = self.limits.waits(permit.request, now).day.seconds
            self.park.probing(day_s, now)
            self._early = day_s is None or day_s > _EARLY_S
        permit.reservations.update(self.limits.reserve(permit.request, permit.number, now))
        self._in_flight[permit.number] = permit
        self.breaker.sent(now)
        self.used = True

    def settle(self, permit: OutstandingPermit, settlement: Settlement, now: float) -> None:
        """End a request. ``answered`` also for an answer that cannot be read."""
        in_flight = self.in_flight
        del self._in_flight[permit.number]
        if settlement.outcome == "answered":
            self._answered(permit, settlement, in_flight, now)
        elif settlement.outcome == "unknown":
            self.limits.keep_whole(permit.reservations, now)
        else:
            self._refused(permit, settlement, now)
        self._note_trouble(permit, settlement, now)
        if self._probe == permit.number:
            self._probe = None
            self._early = False
            if self.park.probes and _daily_limit(settlement) is None:
                self.park.undecided(now)

    def daily_stop(self, request: PermitRequest, now: float) -> str | None:
        """Why this request cannot be served today; None while it can."""
        name = self.park.limit
        if name is None:
            return None
        waits = self.limits.waits(request, now)
        seconds = max(waits.day.seconds or 0.0, waits.own_day.seconds or 0.0)
        if 0.0 < seconds < PARK_FROM_S:
            return None
        stats = self.limits[name].stats(now, now)
        used = "" if stats is None else f": {stats.limit - stats.credit:.0f} of {stats.limit:.0f} are used"
        again = f"; room for the next request in about {_spelled(seconds)}" if seconds > 0 else ""
        return f"the daily limit {name} is used up ({self.tier}){used}{again}"

    def bucket_stats(self, now: float, until: float) -> dict[str, BucketStats]:
        """By the limit's name; with the tier behind it for all but the usual tier."""
        if not self.used and self.tier != "on_demand":
            return {}
        suffix = "" if self.tier == "on_demand" else f" {self.tier}"
        return {f"{name}{suffix}": stats for name, stats in self.limits.stats(now, until).items()}

    def _answered(self, permit: OutstandingPermit, settlement: Settlement, in_flight: int, now: float) -> None:
        self.has_answered = True
        self.gate.passed(permit.granted_at)
        usage = settlement.usage
        if usage is None:
            self.limits.keep_whole(permit.reservations, now)
        else:
            lag_s = max(0.0, now - settlement.sent_at_age_s - permit.granted_at) if settlement.sent_at_age_s > 0 else 0.0
            self.limits.answered(permit.request, permit.reservations, usage, settlement.reading, lag_s, now)
            latency_s = settlement.latency_s or settlement.sent_at_age_s
            if self.concurrency is not None and latency_s > 0:
                self.concurrency.answered(latency_s, usage.completion, in_flight, now)
        limit, surprised = self.park.limit, self._early and self._probe == permit.number
        self.park.passed(permit.granted_at, surprised, now)
        if limit is not None and surprised and self.park.limit is None:
            self.limits.overrule(limit, settlement.reading, now)
        self.breaker.succeeded(now, permit.granted_at)

    def _refused(self, permit: OutstandingPermit, settlement: Settlement, now: float) -> None:
        self.limits.give_back(permit.reservations, settlement.reading, now)
        limited = settlement.limited
        if limited is None:
            return
        self.has_answered = True
        if limited.kind is not None:
            self.limits.named(limited, permit.reservations[limited.kind], [each.reservations for each in self._in_flight.values()], now)
        if limited.never_fits:  # a 413: nothing to wait for
            return
        daily = _daily_limit(settlement)
        if daily is not None:
            self.park.refused(daily, limited.retry_after_s, permit.granted_at, now)
        else:
            was_closed = self.gate.closed_for_s(now) > 0
            self.gate.close(limited.retry_after_s, permit.granted_at, now, limited.kind)
            if not was_closed:
                log.info(Event.COOLDOWN_CLOSED, tier=self.tier, limit=limited.kind, seconds=round(self.gate.closed_for_s(now), 1))

    def _note_trouble(self, permit: OutstandingPermit, settlement: Settlement, now: float) -> None:
        if settlement.trouble in ("capacity", "overload") and self.concurrency is not None:
            self.concurrency.overloaded(now)
        if settlement.trouble in ("overload", "failure"):
            self.breaker.failed(now, permit.granted_at)
        elif settlement.outcome != "answered" and self._probe == permit.number:
            self.breaker.unsent(now)

    def _cautious_for(self, now: float) -> str | None:
        if self.park.probes:
            return "daily"
        if self.breaker.state(now) != "closed":
            return "breaker"
        return self.gate.limit if self.gate.cautious else None

    def _watch_the_day(self, day: Wait, own_day: Wait, now: float) -> None:
        if own_day.seconds == 0.0:
            self.park.room(now)
        for wait, own in ((day, False), (own_day, True)):
            if wait.seconds is not None and wait.reason is not None and wait.seconds >= PARK_FROM_S:
                self.park.used_up(wait.reason, now, own=own)


def worst_state(limiters: Sequence[TierLimiter], now: float) -> Literal["closed", "open", "half_open"]:
    """Of the breakers of these tiers."""
    states = {limiter.breaker.state(now) for limiter in limiters}
    return "open" if "open" in states else "half_open" if "half_open" in states else "closed"


def _daily_limit(settlement: Settlement) -> LimitKind | None:
    """The limit of the day that a refusal names."""
    kind = None if settlement.limited is None else settlement.limited.kind
    return kind if kind is not None and KINDS[kind].window_s == DAY_S else None


def _spelled(seconds: float) -> str:
    minutes, hours = round(seconds / 60), round(seconds / 3600, 1)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min" if minutes < 120 else f"{hours} h"
