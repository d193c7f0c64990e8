"""The policy of the throttle: which request may be sent, and when.

One governor stands for one API key and model. Requests wait in one queue, in the order of asking. A request is granted as soon
as the limiter of its service tier admits it (`service_tier`), the budget covers its worst case, and, for a retry, the
retry budget has room.

* **Prediction, not reaction.** The first request of a tier is a probe, sent alone, whose headers name the limits.
* **Reservation and settlement.** A grant reserves ``prompt estimate + max_completion_tokens`` and the worst-case price, and is
  settled to what the answer used. `bucket` has the account.
* **Rejected requests are charged nothing** (429, 413, 4xx, 5xx): their reservations are returned. That is the emulator's
  default and the reading of Groq's messages, where ``Used`` never holds the request that is being refused. Should the
  provider charge them after all, headers and the next 429 correct the token accounts.
* **The dollar cap is hard** across restarts too: nothing is granted before `restore` sets what was spent.
* **A limit that a 429 names** gets the body's Limit and Used, whatever its window, so that the next such 429 is prevented.
  Every 429 also closes the tier's `door`.
* **First come, first served.** The first request that a tier has no room for blocks the tier for all behind it.

Every method takes ``now``, monotonic seconds. Decisions are taken in `advance`, which is to be called after every other call
and at the moment that `next_ready_in_s` names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from math import inf
from types import MappingProxyType
from typing import get_args

from helix_ray.config import ThrottleConfig
from helix_ray.environment.logs import Event, event_logger
from helix_ray.records import PastUse, ServiceTier
from helix_ray.records.calls import RequestedTier
from helix_ray.throttle.budget import Admission, Budget, RetryBudget
from helix_ray.throttle.limit_set import AMPLE, BindingMeter, Wait
from helix_ray.throttle.messages import AHEAD_S, AcquireReply, Exchange, PermitRequest, Refusal, Settlement, ThrottleStats
from helix_ray.throttle.permits import OutstandingPermit, OutstandingPermits
from helix_ray.throttle.service_tier import TierLimiter
from helix_ray.throttle.wait_queue import Waiting, WaitQueue

log = event_logger(__name__)

PERMIT_GRACE_S = 30.0  # beyond the request's own deadline
_TIERS: tuple[ServiceTier, ...] = get_args(ServiceTier)


class Governor:
    """``incarnation`` begins the ids of its permits. ``request_deadline_s`` is the analyzers' total deadline for one attempt,
    ``most_in_flight`` the requests that all analyzers together can have in flight, ``retry_share`` (0 to 1) how many of all
    requests sent may be retries.
    """

    def __init__(
        self, config: ThrottleConfig, request_deadline_s: float, incarnation: str, most_in_flight: int = 1024, retry_share: float = 1.0
    ) -> None:
        if "adaptive_concurrency" in config.model_fields_set:
            log.info(Event.KEY_WITHOUT_EFFECT, key="throttle.adaptive_concurrency")
        self._stops_daily = config.on_daily_limit == "stop"
        self._lifetime_s = request_deadline_s + PERMIT_GRACE_S
        self._incarnation = incarnation
        self.limiters = {tier: TierLimiter(tier, config, most_in_flight) for tier in _TIERS}
        self._budget = Budget(Decimal(str(config.max_cost_usd)))
        self._retries = RetryBudget(retry_share)
        self._restored = False
        self._queue = WaitQueue()
        self._permits = OutstandingPermits()
        self._orphans: set[str] = set()  # of permits leased ahead: the ids of those whose holder died
        self._unused: Counter[str] = Counter()  # permits leased ahead, by holder, as far as is known
        self._meter = BindingMeter()
        self._ready_at: float | None = None  # when time alone makes room, as of the last `advance`
        self._refusals: dict[str, Refusal] = {}
        self._stopped: Refusal | None = None
        self._granted = self._answered = self._http_429 = 0
        self._active_until = 0.0
        self._budget_exhausted = False
        self._usual_usd = Decimal(0)  # the worst case of the largest request of late

    def tell(self, holder: str, told: Exchange, now: float) -> list[str]:
        """Take in what a call tells, and begin to wait for what it asks. Returns as `ask` does."""
        for settlement in told.settlements:
            self.settle(settlement, now)
        self.withdraw(holder, told.withdrawn, now)
        self._unused[holder] = told.unused
        return self.ask(holder, [request for request in told.requests if not request.ahead], now, told.waiting)

    def ask(self, holder: str, requests: Sequence[PermitRequest], now: float, waiting: Sequence[str] = ()) -> list[str]:
        """Begin a call that waits for these requests; `leave` ends it. A request that has its permit is not queued again.

        ``waiting``: ids of requests that were asked for before; returned are those that are not known here.
        """
        unknown = [name for name in waiting if not self._queue.ask_again(name, now) and self._permits.of_want(name) is None]
        self._queue.ask(holder, [request for request in requests if self._permits.of_want(request.want_id) is None], now)
        self._usual_usd = max((request.worst_case_usd for request in requests), default=self._usual_usd)
        return unknown

    def leave(self, want_ids: Sequence[str], now: float) -> None:
        """End a call that waited for these. A refusal that it did not collect is dropped: the next `ask` decides anew."""
        self._queue.leave(want_ids, now)
        for want_id in want_ids:
            self._refusals.pop(want_id, None)

    def collect(self, want_ids: Sequence[str], now: float) -> AcquireReply:
        """What was decided about these requests. A permit whose reply was lost is handed out again."""
        permits = (self._permits.of_want(want_id) for want_id in want_ids)
        grants = [permit.lease(now) for permit in permits if permit is not None]
        refusals = [self._refusals.pop(want_id) for want_id in want_ids if want_id in self._refusals]
        return AcquireReply(grants, self._stopped or (refusals[0] if refusals else None), self.concurrency)

    def give_ahead(self, holder: str, requests: Sequence[PermitRequest], now: float) -> None:
        """Grant those of these requests that are only expected, if nobody waits and there is ample room everywhere; else none."""
        expected = [each for each in requests if each.ahead and self._permits.of_want(each.want_id) is None]
        if not expected or not self._restored or self._stopped is not None or self._queue.tiers:
            return
        usd, tier = expected[0].worst_case_usd, _tiers(expected[0].service_tier)[0]  # all are of one size
        self._usual_usd = max(self._usual_usd, usd)
        left_usd = self._budget.max_cost_usd - self._budget.spent - self._budget.reserved
        if left_usd >= AMPLE * usd and self.limiters[tier].has_ample_room(expected[0], now):
            for request in expected[:AMPLE]:
                if self._budget.admission(usd) is not Admission.NOW:  # more is about to be authorised
                    break
                self._give(Waiting(request, holder, now), tier, now)
                self._unused[holder] += 1

    def overdue(self, now: float) -> list[str]:
        """Ids of permits leased ahead that are in use or given back by now, unless their holder was stopped or died."""
        late = now - 2 * AHEAD_S
        return [each.request.want_id for each in self._permits.ahead() if each.granted_at <= late or each.permit_id in self._orphans]

    def reclaim(self, want_ids: Sequence[str], on_record: Collection[str] | None, now: float) -> None:
        """Take `overdue` permits back, but those on record, which may have been sent; no other can be sent any more. ``on_record`` None:
        that could not be found out.
        """
        for permit in [each for each in map(self._permits.of_want, want_ids) if each is not None]:
            if on_record is not None and permit.request.want_id not in on_record:
                self.settle(Settlement(permit.permit_id, "not_sent"), now)
            elif permit.permit_id in self._orphans:
                self.settle(Settlement(permit.permit_id, "unknown"), now)
            elif on_record is not None:
                self._permits.confirm(permit)
            self._orphans.discard(permit.permit_id)

    def withdraw(self, holder: str, want_ids: Iterable[str], now: float) -> None:
        """Drop requests that the holder will not send. A permit that was granted and not used is given back."""
        for want_id in want_ids:
            self._queue.remove(want_id)
            self._refusals.pop(want_id, None)
            permit = self._permits.of_want(want_id)
            if permit is not None and permit.holder == holder:
                self.settle(Settlement(permit.permit_id, "not_sent"), now)

    def advance(self, now: float) -> list[str]:
        """Decide what can be decided now; the ids of requests that were granted or refused."""
        for permit in self._permits.expired(now):  # sent, and billed at its worst case
            self.settle(Settlement(permit.permit_id, "unknown"), now)
        self._queue.forget_silent(now)
        self._ready_at = None
        decided: list[str] = []
        blocked: set[ServiceTier] = set()
        reason: str | None = None  # why the first one that waits does so
        retries_wait = False
        for waiting in self._queue.listening():
            request = waiting.request
            tiers = [tier for tier in _tiers(request.service_tier) if tier not in blocked]
            if self._stopped is None and (not tiers or (request.retry and retries_wait)):
                continue
            if self._refuse_if_hopeless(request, now):
                decided.append(request.want_id)
                continue
            wait, tier = self._choose(request, tiers, now)
            if tier is not None:
                self._give(waiting, tier, now)
                decided.append(request.want_id)
                continue
            reason = reason or wait.reason
            if wait.seconds is not None:
                self._ready_at = min(now + wait.seconds, inf if self._ready_at is None else self._ready_at)
            if wait.reason == "retries":  # blocks retries only
                retries_wait = True
                continue
            blocked.update(tiers)
            if all(blocked.issuperset(_tiers(wanted)) for wanted in self._queue.tiers):
                break
        for want_id in decided:
            self._queue.remove(want_id)
        self._meter.note(reason, now)
        return decided

    def next_ready_in_s(self, now: float) -> float | None:
        """When `advance` can grant by the passing of time alone, as it found last; None: nothing waits, or only an event can help."""
        return None if self._ready_at is None else max(0.0, self._ready_at - now)

    def settle(self, settlement: Settlement, now: float) -> None:
        """End a permit. Idempotent. Of a permit that was already written off, only the money is corrected."""
        permit = self._permits.take(settlement.permit_id)
        if permit is None:
            self._settle_late(settlement)
            return
        self._active_until = now
        worst = permit.request.worst_case_usd
        match settlement.outcome:
            case "answered":
                self._budget.settle(worst, worst if settlement.cost_usd is None else settlement.cost_usd)
                self._answered += 1
            case "rejected" | "not_sent":
                self._budget.settle(worst, settlement.cost_usd or Decimal(0))
                self._http_429 += settlement.limited is not None and not settlement.limited.never_fits
            case "unknown":
                self._budget.settle(worst, worst)
                self._permits.write_off(permit)
        self.limiters[permit.service_tier].settle(permit, settlement, now)

    def release(self, holder: str, now: float) -> None:
        """The holder died: its requests are dropped, its permits count as sent and billed at their worst case. Those leased ahead
        are `overdue` at once.
        """
        self._queue.forget(holder)
        self._unused.pop(holder, None)
        self._orphans |= {permit.permit_id for permit in self._permits.ahead() if permit.holder == holder}
        for permit in self._permits.of_holder(holder):
            if permit.permit_id not in self._orphans:
                self.settle(Settlement(permit.permit_id, "unknown"), now)

    def restore(
        self,
        spent_usd: Decimal,
        past: Sequence[PastUse] | None = (),
        now: float = 0.0,
        *,
        provisional: bool = False,
        limits: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Set what the run has spent already, US dollars, what was taken from the limits before (None: not known, so the
        accounts begin empty), and the limits that the provider showed, by bucket. Nothing is granted before the first call, so
        that a restarted throttle does not spend twice. A later call corrects the money only. ``provisional``: see `Budget.restore`.
        """
        self._budget.restore(spent_usd, provisional=provisional)
        if not self._restored:
            for limiter in self.limiters.values():
                limiter.restore(past, limits, now)
        self._restored = True

    def set_budget(self, max_cost_usd: Decimal) -> None:
        """The cost cap from now on, US dollars. Idempotent."""
        if max_cost_usd != self._budget.max_cost_usd:
            self._budget.max_cost_usd = max_cost_usd
            self._budget_exhausted = False

    def raise_most_in_flight(self, most_in_flight: int) -> None:
        """The requests that all analyzers together can have in flight from now on."""
        for limiter in self.limiters.values():
            limiter.requests_in_flight.raise_most(most_in_flight)

    def authorise(self, total_usd: Decimal) -> None:
        """Allow grants up to this total, US dollars, which the ledger has committed. Without a call there is no such bound."""
        self._budget.authorise(total_usd)

    def to_authorise(self) -> Decimal | None:
        """The total to authorise next, US dollars, ahead of need; None: enough is, or no authorisation is needed."""
        return self._budget.shortfall(self._usual_usd) if self._restored else None

    def stop(self, message: str) -> None:
        """The provider refuses for good: every waiting and later request is refused, with the first message."""
        if self._stopped is None:
            log.error(Event.PROVIDER_REFUSED, message=message)
        self._stopped = self._stopped or Refusal("refused", message)

    @property
    def concurrency(self) -> int | None:
        """The most requests in flight over all tiers in use while the API bears fewer than are configured; else None."""
        limits = [limiter.requests_in_flight for limiter in self._limiters_in_use()]
        return sum(each.limit for each in limits) if any(each.held_down for each in limits) else None

    def stats(self, now: float) -> ThrottleStats:
        until = self._active_until if self.idle else now
        limiters = self._limiters_in_use()
        doors = [limiter.door for limiter in limiters if limiter.door.reason is not None]
        parked = next((door for door in doors if door.reason == "daily"), None)
        closed = parked or min(doors, key=lambda door: door.since, default=None)
        breakers = [limiter.breaker(now) for limiter in limiters]
        stopped, binding = self._stopped, self._meter.binding(now)
        buckets = {name: stats for limiter in limiters for name, stats in limiter.bucket_stats(now, until).items()}
        return ThrottleStats(
            buckets={name: replace(stats, binding=name == binding) for name, stats in buckets.items()},
            spent_usd=self._budget.spent,
            reserved_usd=self._budget.reserved,
            max_cost_usd=self._budget.max_cost_usd,
            in_flight=max(0, len(self._permits) - self._unused.total()),
            waiting=len(self._queue),
            granted=self._granted,
            answered=self._answered,
            http_429=self._http_429,
            gate_closed_for_s=max((door.wait_s(None, now) for door in doors if door.reason == "cooldown"), default=0.0),
            probing=any(limiter.must_probe for limiter in limiters),
            binding=binding,
            budget_exhausted=self._budget_exhausted,
            refused=stopped.message if stopped is not None and stopped.reason == "refused" else None,
            concurrency=self.concurrency,
            breaker="open" if "open" in breakers else "half_open" if "half_open" in breakers else "closed",
            parked=None if parked is None else parked.limit,
            parked_for_s=0.0 if parked is None else now - parked.since,
            next_probe_in_s=0.0 if closed is None else closed.wait_s(None, now),
            door=None if closed is None else closed.reason,
            door_bound_s=0.0 if closed is None else closed.bound_s,
            authorised_usd=self._budget.authorised,
            daily_stop=stopped.message if stopped is not None and stopped.reason == "daily" else None,
        )

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is in flight, so that the passing of time changes nothing."""
        return len(self._queue) == 0 and len(self._permits) == 0

    def _refuse_if_hopeless(self, request: PermitRequest, now: float) -> bool:
        if self._stopped is None and self._stops_daily:
            reasons = [self.limiters[tier].daily_stop(request, now) for tier in _tiers(request.service_tier)]
            if all(reasons):
                self._stopped = Refusal("daily", f"{reasons[0]}; resume the run then, or set throttle.on_daily_limit to park")
        if self._stopped is not None:
            return True
        if self._budget.admission(request.worst_case_usd) is not Admission.NEVER:
            return False
        self._budget_exhausted = True
        self._refusals[request.want_id] = Refusal(
            "budget",
            f"throttle.max_cost_usd: ${self._budget.spent} of ${self._budget.max_cost_usd} are spent and the next request may "
            f"cost ${request.worst_case_usd}; raise the cap and resume the run",
        )
        return True

    def _choose(self, request: PermitRequest, tiers: Sequence[ServiceTier], now: float) -> tuple[Wait, ServiceTier | None]:
        """The tier that admits this request now, or None and the shortest wait."""
        if not self._restored:
            return Wait(None, None), None
        if self._budget.admission(request.worst_case_usd) is not Admission.NOW:
            return Wait(None, "budget"), None
        if request.retry and (retry_s := self._retries.wait_s(now)) > 0:
            return Wait(retry_s, "retries"), None
        blocking: Wait | None = None
        for tier in tiers:
            wait = self.limiters[tier].wait(request, now)
            if wait.seconds == 0.0:
                return wait, tier
            if blocking is None or blocking.longer(wait) is blocking:
                blocking = wait
        assert blocking is not None
        return blocking, None

    def _give(self, waiting: Waiting, tier: ServiceTier, now: float) -> None:
        request = waiting.request
        self._granted += 1
        permit_id = f"{self._incarnation}-{self._granted}"
        permit = OutstandingPermit(permit_id, self._granted, waiting.holder, request, now, now + self._lifetime_s, tier)
        self.limiters[tier].give(permit, now)
        self._budget.reserve(request.worst_case_usd)
        self._retries.sent(request.retry, now)
        self._permits.add(permit)
        self._budget_exhausted = False

    def _limiters_in_use(self) -> list[TierLimiter]:
        return [limiter for limiter in self.limiters.values() if limiter.used] or [self.limiters["on_demand"]]

    def _settle_late(self, settlement: Settlement) -> None:
        """Permits of an earlier incarnation are not counted here: `restore` holds what they cost."""
        if settlement.outcome == "unknown":
            return
        booked = self._permits.take_written_off(settlement.permit_id)
        if booked is not None:
            cost = booked if settlement.outcome == "answered" and settlement.cost_usd is None else settlement.cost_usd
            self._budget.correct(booked, cost or Decimal(0))


def _tiers(wanted: RequestedTier) -> tuple[ServiceTier, ...]:
    return _TIERS if wanted == "auto" else (wanted,)
