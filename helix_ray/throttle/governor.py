"""The policy of the throttle: which request may be sent, and when.

One governor stands for one API key and model. Requests wait in one queue, in the order of asking. A request is granted as soon
as the limiter of its service tier admits it (`tier.service_tier`), the budget covers its worst case, and, for a retry, the
retry budget has room.

* **Prediction, not reaction.** The first request of a tier is a probe, sent alone, whose headers name the limits.
* **Reservation and settlement.** A grant reserves ``prompt estimate + max_completion_tokens`` and the worst-case price. See
  `limits.bucket` for the accounts, `limits.refund` for the unused part.
* **Rejected requests are charged nothing** (429, 413, 4xx, 5xx): their reservations are returned. That is the emulator's
  default and the reading of Groq's messages, where ``Used`` never holds the request that is being refused. Should the
  provider charge them after all, headers and the next 429 correct the token accounts.
* **The dollar cap is hard** across restarts too: nothing is granted before `restore` sets what was spent.
* **A limit that a 429 names** gets the body's Limit and Used, whatever its window, so that the next such 429 is prevented.
  A limit of the minute also closes the tier for the provider's ``retry-after``; one of the day parks the tier.
* **A large request is not starved**: small ones pass it for a bounded time only, see `permits.line`.

Every method takes ``now``, monotonic seconds. Decisions are taken in `advance`, which is to be called after every other call
and at the moment that `next_ready_in_s` names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import get_args

from helix_ray.config import ThrottleConfig
from helix_ray.environment.logs import Event, event_logger
from helix_ray.records import PastUse, ServiceTier
from helix_ray.throttle.budget import Admission, Budget, RetryBudget
from helix_ray.throttle.limits.limit_set import BindingMeter, Wait
from helix_ray.throttle.messages import AcquireReply, PermitRequest, Refusal, Settlement, ThrottleStats
from helix_ray.throttle.permits.line import Line, Waiting
from helix_ray.throttle.permits.outstanding import OutstandingPermit, OutstandingPermits
from helix_ray.throttle.permits.turn import Turn
from helix_ray.throttle.tier.concurrency import Concurrency
from helix_ray.throttle.tier.service_tier import TierLimiter, worst_state

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
        self._stops_daily = config.on_daily_limit == "stop"
        self._lifetime_s = request_deadline_s + PERMIT_GRACE_S
        self._incarnation = incarnation
        self.limiters = {tier: TierLimiter(tier, config, most_in_flight) for tier in _TIERS}
        self._budget = Budget(Decimal(str(config.max_cost_usd)))
        self._retries = RetryBudget(retry_share)
        self._restored = False
        self._line = Line()
        self._permits = OutstandingPermits()
        self._meter = BindingMeter()
        self._refusals: dict[str, Refusal] = {}
        self._stopped: Refusal | None = None
        self._granted = self._answered = self._http_429 = 0
        self._active_until = 0.0
        self._budget_exhausted = False
        self._usual_usd = Decimal(0)  # the worst case of the largest request of late

    def ask(self, holder: str, requests: Sequence[PermitRequest], now: float) -> None:
        """Begin a call that waits for these requests; `leave` ends it. A request that has its permit is not queued again."""
        self._line.ask(holder, [request for request in requests if self._permits.of_want(request.want_id) is None], now)
        self._usual_usd = max((request.worst_case_usd for request in requests), default=self._usual_usd)

    def leave(self, want_ids: Sequence[str], now: float) -> None:
        """End a call that waited for these. A refusal that it did not collect is dropped: the next `ask` decides anew."""
        self._line.leave(want_ids, now)
        for want_id in want_ids:
            self._refusals.pop(want_id, None)

    def collect(self, want_ids: Sequence[str], now: float) -> AcquireReply:
        """What was decided about these requests. A permit whose reply was lost is handed out again."""
        permits = (self._permits.of_want(want_id) for want_id in want_ids)
        grants = [permit.lease(now) for permit in permits if permit is not None]
        refusals = [self._refusals.pop(want_id) for want_id in want_ids if want_id in self._refusals]
        return AcquireReply(grants, self._stopped or (refusals[0] if refusals else None), self.concurrency)

    def withdraw(self, holder: str, want_ids: Iterable[str], now: float) -> None:
        """Drop requests that the holder will not send. A permit that was granted and not used is given back."""
        for want_id in want_ids:
            self._line.remove(want_id)
            self._refusals.pop(want_id, None)
            permit = self._permits.of_want(want_id)
            if permit is not None and permit.holder == holder:
                self.settle(Settlement(permit.permit_id, "not_sent"), now)

    def advance(self, now: float) -> list[str]:
        """Decide what can be decided now; the ids of requests that were granted or refused."""
        for permit in self._permits.expired(now):  # sent, and billed at its worst case
            self.settle(Settlement(permit.permit_id, "unknown"), now)
        self._line.forget_silent(now)
        turn = Turn(self._line.tiers, now)
        decided: list[str] = []
        for waiting in self._line.listening():
            request = waiting.want
            if self._stopped is None and turn.stands_behind(waiting, self._tiers(request)):
                if turn.over:
                    break
                continue
            if self._refuse_if_hopeless(request, now):
                decided.append(request.want_id)
                continue
            tier = self._choose(waiting, turn)
            if tier is not None:
                self._give(waiting, tier, now)
                turn.granted(waiting, tier)
                decided.append(request.want_id)
            elif turn.over:
                break
        for want_id in decided:
            self._line.remove(want_id)
        self._meter.note(turn.reason, now)
        return decided

    def next_ready_in_s(self, now: float) -> float | None:
        """When `advance` can grant by the passing of time alone; None: nothing waits, or only an event can help."""
        turn = Turn(self._line.tiers, now)
        for waiting in self._line.listening():
            behind = turn.stands_behind(waiting, self._tiers(waiting.want))
            if not behind and self._choose(waiting, turn) is not None:
                return 0.0
            if turn.over:
                break
        return turn.soonest_s

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
        """The holder died: its requests are dropped, its permits count as sent and billed at their worst case."""
        self._line.forget(holder)
        for permit in self._permits.of_holder(holder):
            self.settle(Settlement(permit.permit_id, "unknown"), now)

    def restore(self, spent_usd: Decimal, past: Sequence[PastUse] | None = (), now: float = 0.0, *, provisional: bool = False) -> None:
        """Set what the run has spent already, US dollars, and what was taken from the limits before (None: not known, so the
        accounts begin empty). Nothing is granted before the first call, so that a restarted throttle does not spend twice. A
        later call corrects the money only. ``provisional``: see `Budget.restore`.
        """
        self._budget.restore(spent_usd, provisional=provisional)
        if not self._restored:
            for limiter in self.limiters.values():
                limiter.restore(past, now)
        self._restored = True

    def set_budget(self, max_cost_usd: Decimal) -> None:
        """The cost cap from now on, US dollars. Idempotent."""
        if max_cost_usd != self._budget.max_cost_usd:
            self._budget.max_cost_usd = max_cost_usd
            self._budget_exhausted = False

    def raise_most_in_flight(self, most_in_flight: int) -> None:
        """The requests that all analyzers together can have in flight from now on."""
        for limiter in self.limiters.values():
            limiter.raise_most_in_flight(most_in_flight)

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
        """The concurrency limit over all tiers in use: requests in flight; None: not bounded."""
        limits = self._concurrency_limits()
        return sum(limit.limit for limit in limits) if limits else None

    def stats(self, now: float) -> ThrottleStats:
        until = self._active_until if self.idle else now
        limiters = self._limiters_in_use()
        parked = next((limiter for limiter in limiters if limiter.park.limit is not None), None)
        concurrency = None if any(limit.starting for limit in self._concurrency_limits()) else self.concurrency
        stopped, binding = self._stopped, self._meter.binding(now)
        buckets = {name: stats for limiter in limiters for name, stats in limiter.bucket_stats(now, until).items()}
        return ThrottleStats(
            buckets={name: replace(stats, binding=name == binding) for name, stats in buckets.items()},
            spent_usd=self._budget.spent,
            reserved_usd=self._budget.reserved,
            max_cost_usd=self._budget.max_cost_usd,
            in_flight=len(self._permits),
            waiting=len(self._line),
            granted=self._granted,
            answered=self._answered,
            http_429=self._http_429,
            gate_closed_for_s=max(limiter.gate.closed_for_s(now) for limiter in limiters),
            probing=any(limiter.must_probe(now) for limiter in limiters),
            binding=binding,
            budget_exhausted=self._budget_exhausted,
            refunds=limiters[0].limits.tokens.refunds.verdict,
            refused=stopped.message if stopped is not None and stopped.reason == "refused" else None,
            concurrency=concurrency,
            breaker=worst_state(limiters, now),
            parked=None if parked is None else parked.park.limit,
            parked_for_s=0.0 if parked is None else now - parked.park.since,
            next_probe_in_s=0.0 if parked is None else parked.park.next_probe_in_s(now),
            authorised_usd=self._budget.authorised,
            daily_stop=stopped.message if stopped is not None and stopped.reason == "daily" else None,
        )

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is in flight, so that the passing of time changes nothing."""
        return len(self._line) == 0 and len(self._permits) == 0

    def _refuse_if_hopeless(self, request: PermitRequest, now: float) -> bool:
        if self._stopped is None and self._stops_daily:
            reasons = [self.limiters[tier].daily_stop(request, now) for tier in self._tiers(request)]
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

    def _choose(self, waiting: Waiting, turn: Turn) -> ServiceTier | None:
        """The tier that admits this request now; None: it waits."""
        request, now = waiting.want, turn.now
        tiers = self._tiers(request)
        blocking: Wait | None = None
        if not self._restored:
            blocking = Wait(None, None)
        elif self._budget.admission(request.worst_case_usd) is not Admission.NOW:
            blocking = Wait(None, "budget")
        elif request.retry and (retry_s := self._retries.wait_s(now)) > 0:
            turn.note(Wait(retry_s, "retries"))  # and blocks no other request
            return None
        else:
            for tier in tiers:
                if not turn.open_to(waiting, tier):
                    continue
                wait = self.limiters[tier].wait(request, now)
                if wait.seconds == 0.0:
                    return tier
                if blocking is None or blocking.longer(wait) is blocking:
                    blocking = wait
        turn.stays(waiting, tiers, blocking)
        return None

    def _tiers(self, request: PermitRequest) -> tuple[ServiceTier, ...]:
        return _TIERS if request.service_tier == "auto" else (request.service_tier,)

    def _give(self, waiting: Waiting, tier: ServiceTier, now: float) -> None:
        request = waiting.want
        self._granted += 1
        permit_id = f"{self._incarnation}-{self._granted}"
        permit = OutstandingPermit(permit_id, self._granted, waiting.holder, request, now, now + self._lifetime_s, tier)
        self.limiters[tier].give(permit, now)
        self._budget.reserve(request.worst_case_usd)
        self._retries.sent(request.retry, now)
        self._permits.add(permit)
        self._budget_exhausted = False

    def _concurrency_limits(self) -> list[Concurrency]:
        return [limiter.concurrency for limiter in self._limiters_in_use() if limiter.concurrency is not None]

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
