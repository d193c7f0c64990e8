"""The policy of the throttle, whole: who may send a request, and when.

One governor stands for one API key and model. It grants in order of asking: a request goes as soon as the lane of its service
tier lets it (see `lane`), the budget covers its worst case, and, if it is a retry, the retry budget has room.

* **Prediction, not reaction.** The first request of a lane goes out alone as a probe, and its headers name the limits.
* **Reservation and settlement.** A grant reserves ``prompt estimate + max_completion_tokens`` and the worst-case price; see
  `bucket` for the accounts, `refund` for what happens to the unused part.
* **Rejected requests are charged nothing** (429, 413, 4xx, 5xx): their reservations are returned. That is the emulator's
  default and the reading of Groq's messages, where ``Used`` never holds the request that is being refused. Should the
  provider charge them after all, headers and the next 429 correct the token accounts.
* **The dollar cap is hard** across restarts too: nothing is granted before `restore` said what was spent.
* **A limit that a 429 names** gets the body's Limit and Used, whatever its window, so that the next such 429 is foreseen.
  One of the minute closes the lane's gate for the provider's ``retry-after`` besides; one of the day parks the lane.
* **A large request is not starved**: small ones pass it for a bounded time only, see `line`.

Every method takes ``now``, monotonic seconds. Decisions are taken in `advance`, which is to be called after every other call
and at the moment that `next_ready_in_s` names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from helix_ray.config import ThrottleConfig
from helix_ray.providers.readings import ServiceTier
from helix_ray.throttle.budget import Budget, Room
from helix_ray.throttle.limits.binding_limit import BindingMeter
from helix_ray.throttle.limits.limit_set import Wait
from helix_ray.throttle.messages import AcquireReply, PastUse, Refusal, Settlement, Want
from helix_ray.throttle.permits.line import Line, Waiting
from helix_ray.throttle.permits.outstanding import Permit, Permits
from helix_ray.throttle.permits.turn import Turn
from helix_ray.throttle.retry_budget import RetryBudget
from helix_ray.throttle.stats import ThrottleStats
from helix_ray.throttle.tier.service_tier import Lane, worst_state

PERMIT_GRACE_S = 30.0  # beyond the request's own deadline
_TIERS: tuple[ServiceTier, ...] = ("on_demand", "flex")


class Governor:
    """``epoch`` tells this incarnation's permits from those of one that died; ``request_deadline_s`` is the analyzers' total
    deadline for one attempt; ``most_in_flight`` what all analyzers together can have in flight; ``retry_share`` (0 to 1) how
    many of all requests sent may be retries.
    """

    def __init__(
        self,
        config: ThrottleConfig,
        request_deadline_s: float,
        epoch: str,
        most_in_flight: int = 1024,
        retry_share: float = 1.0,
    ) -> None:
        self._stops_daily = config.on_daily_limit == "stop"
        self._lifetime_s = request_deadline_s + PERMIT_GRACE_S
        self._epoch = epoch
        self.lanes = {tier: Lane(tier, config, most_in_flight) for tier in _TIERS}
        self._budget = Budget(Decimal(str(config.max_cost_usd)))
        self._retries = RetryBudget(retry_share)
        self._restored = False
        self._line = Line()
        self._permits = Permits()
        self._meter = BindingMeter()
        self._refusals: dict[str, Refusal] = {}
        self._stopped: Refusal | None = None
        self._granted = self._answered = self._http_429 = 0
        self._active_until = 0.0
        self._budget_exhausted = False
        self._usual_usd = Decimal(0)  # the worst case of the largest request of late

    # -- asking ---------------------------------------------------------------------------------------------------------

    def ask(self, holder: str, wants: Sequence[Want], now: float) -> None:
        """One call waits for these wants from now on; `leave` ends it. A want that holds a permit is not queued again."""
        self._line.ask(holder, [want for want in wants if self._permits.of_want(want.want_id) is None], now)
        self._usual_usd = max((want.worst_case_usd for want in wants), default=self._usual_usd)

    def leave(self, want_ids: Sequence[str], now: float) -> None:
        """The call that asked for these ended. A refusal that it did not hear is dropped: the next `ask` decides anew."""
        self._line.leave(want_ids, now)
        for want_id in want_ids:
            self._refusals.pop(want_id, None)

    def collect(self, want_ids: Sequence[str], now: float) -> AcquireReply:
        """What was decided about these wants. A permit whose reply was lost is handed out again."""
        permits = (self._permits.of_want(want_id) for want_id in want_ids)
        grants = [permit.grant(now) for permit in permits if permit is not None]
        refusals = [self._refusals.pop(want_id) for want_id in want_ids if want_id in self._refusals]
        return AcquireReply(grants, self._stopped or (refusals[0] if refusals else None), self.concurrency)

    def withdraw(self, holder: str, want_ids: Iterable[str], now: float) -> None:
        """The holder will not send these: dropped, or given back if a permit was given and its reply never used."""
        for want_id in want_ids:
            self._line.remove(want_id)
            self._refusals.pop(want_id, None)
            permit = self._permits.of_want(want_id)
            if permit is not None and permit.holder == holder:
                self.settle(Settlement(permit.permit_id, "not_sent"), now)

    def advance(self, now: float) -> list[str]:
        """Decide whatever can be decided: the ids of wants that were granted or refused."""
        for permit in self._permits.expired(now):
            self._write_off(permit, now)
        self._line.forget_silent(now)
        turn = Turn(self._line.tiers, now)
        decided: list[str] = []
        for waiting in self._line.listening():
            want = waiting.want
            if self._stopped is None and turn.stands_behind(waiting, self._tiers(want)):
                if turn.over:
                    break
                continue
            if self._refuse_if_hopeless(want, now):
                decided.append(want.want_id)
                continue
            tier = self._choose(waiting, turn)
            if tier is not None:
                self._give(waiting, tier, now)
                turn.granted(waiting, tier)
                decided.append(want.want_id)
            elif turn.over:
                break
        for want_id in decided:
            self._line.remove(want_id)
        self._meter.note(turn.reason, now)
        return decided

    def next_ready_in_s(self, now: float) -> float | None:
        """When `advance` can grant by the passing of time alone; None: nobody waits, or only an event can help."""
        turn = Turn(self._line.tiers, now)
        for waiting in self._line.listening():
            behind = turn.stands_behind(waiting, self._tiers(waiting.want))
            if not behind and self._choose(waiting, turn) is not None:
                return 0.0
            if turn.over:
                break
        return turn.soonest_s

    # -- settling -------------------------------------------------------------------------------------------------------

    def settle(self, settlement: Settlement, now: float) -> None:
        """End a permit. Twice is once; for a permit that was already written off, only the money is put right."""
        permit = self._permits.take(settlement.permit_id)
        if permit is None:
            self._settle_late(settlement)
            return
        self._active_until = now
        worst = permit.want.worst_case_usd
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
        self.lanes[permit.service_tier].settle(permit, settlement, now)

    def release(self, holder: str, now: float) -> None:
        """The holder died: its wants are forgotten, its permits count as sent and billed at their worst case."""
        self._line.forget(holder)
        for permit in self._permits.of_holder(holder):
            self._write_off(permit, now)

    # -- commands -------------------------------------------------------------------------------------------------------

    def restore(self, spent_usd: Decimal, past: Sequence[PastUse] | None = (), now: float = 0.0, *, provisional: bool = False) -> None:
        """What the run has spent already, US dollars, and what was taken from the limits before (None: not known, so the
        accounts begin empty). Nothing is granted before it is said: a throttle that comes back must not spend anything again.
        Said again, it corrects the money only. ``provisional``: see `Budget.restore`.
        """
        self._budget.restore(spent_usd, provisional=provisional)
        if not self._restored:
            for lane in self.lanes.values():
                lane.restore(past, now)
        self._restored = True

    def set_budget(self, max_cost_usd: Decimal) -> None:
        self._budget.max_cost_usd = max_cost_usd
        self._budget_exhausted = False

    def authorise(self, total_usd: Decimal) -> None:
        """The ledger has this total, US dollars, on record as ours to spend. From the first call on no more is granted."""
        self._budget.authorise(total_usd)

    def to_authorise(self) -> Decimal | None:
        """The total to be put on record next, ahead of need; None: enough is, or nobody is to be asked."""
        return self._budget.shortfall(self._usual_usd) if self._restored else None

    def stop(self, message: str) -> None:
        """The provider refuses for good: everybody who waits or asks is refused. The first message stays."""
        self._stopped = self._stopped or Refusal("refused", message)

    # -- looking --------------------------------------------------------------------------------------------------------

    @property
    def concurrency(self) -> int | None:
        """Requests in flight that the API bears just now, over all lanes in use; None: not bounded."""
        limits = [lane.concurrency.limit for lane in self._lanes_in_use() if lane.concurrency is not None]
        return sum(limits) if limits else None

    def stats(self, now: float) -> ThrottleStats:
        busy = len(self._permits) > 0 or len(self._line) > 0
        until = now if busy else self._active_until
        lanes = self._lanes_in_use()
        parked = next((lane for lane in lanes if lane.park.limit is not None), None)
        stopped, binding = self._stopped, self._meter.binding(now)
        buckets = {name: stats for lane in lanes for name, stats in lane.bucket_stats(now, until).items()}
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
            gate_closed_for_s=max(lane.gate.closed_for_s(now) for lane in lanes),
            probing=any(lane.must_probe(now) for lane in lanes),
            binding=binding,
            budget_exhausted=self._budget_exhausted,
            refunds=lanes[0].limits.tokens.refunds.verdict,
            refused=stopped.message if stopped is not None and stopped.reason == "refused" else None,
            concurrency=self._borne(lanes),
            breaker=worst_state(lanes, now),
            parked=None if parked is None else parked.park.limit,
            parked_for_s=0.0 if parked is None else now - parked.park.since,
            next_probe_in_s=0.0 if parked is None else parked.park.next_probe_in_s(now),
            authorised_usd=self._budget.authorised,
            daily_stop=stopped.message if stopped is not None and stopped.reason == "daily" else None,
        )

    def _borne(self, lanes: Sequence[Lane]) -> int | None:
        limits = [lane.concurrency for lane in lanes if lane.concurrency is not None]
        return None if not limits or any(limit.starting for limit in limits) else sum(limit.limit for limit in limits)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is in flight: no time needs to be watched."""
        return len(self._line) == 0 and len(self._permits) == 0

    # -- deciding -------------------------------------------------------------------------------------------------------

    def _refuse_if_hopeless(self, want: Want, now: float) -> bool:
        if self._stopped is None and self._stops_daily:
            reasons = [self.lanes[tier].daily_stop(want, now) for tier in self._tiers(want)]
            if all(reasons):
                self._stopped = Refusal("daily", f"{reasons[0]}; resume the run then, or set throttle.on_daily_limit to park")
        if self._stopped is not None:
            return True
        if self._budget.room(want.worst_case_usd) is not Room.NEVER:
            return False
        self._budget_exhausted = True
        self._refusals[want.want_id] = Refusal(
            "budget",
            f"throttle.max_cost_usd: ${self._budget.spent} of ${self._budget.max_cost_usd} are spent and the next request may "
            f"cost ${want.worst_case_usd}; raise the cap and resume the run",
        )
        return True

    def _choose(self, waiting: Waiting, turn: Turn) -> ServiceTier | None:
        """The lane that takes this want now; None: it waits."""
        want, now = waiting.want, turn.now
        tiers = self._tiers(want)
        blocking: Wait | None = None
        if not self._restored:
            blocking = Wait(None, None)
        elif self._budget.room(want.worst_case_usd) is not Room.YES:
            blocking = Wait(None, "budget")
        elif want.retry and (retry_s := self._retries.wait_s(now)) > 0:
            turn.note(Wait(retry_s, "retries"))  # in nobody's way
            return None
        else:
            for tier in tiers:
                if not turn.open_to(waiting, tier):
                    continue
                wait = self.lanes[tier].wait(want, now)
                if wait.seconds == 0.0:
                    return tier
                if blocking is None or blocking.longer(wait) is blocking:
                    blocking = wait
        turn.stays(waiting, tiers, blocking)
        return None

    def _tiers(self, want: Want) -> tuple[ServiceTier, ...]:
        return _TIERS if want.service_tier == "auto" else (want.service_tier,)

    def _give(self, waiting: Waiting, tier: ServiceTier, now: float) -> None:
        want = waiting.want
        self._granted += 1
        permit_id = f"{self._epoch}-{self._granted}"
        permit = Permit(permit_id, self._granted, waiting.holder, want, now, now + self._lifetime_s, tier)
        self.lanes[tier].give(permit, now)
        self._budget.reserve(want.worst_case_usd)
        self._retries.sent(want.retry, now)
        self._permits.add(permit)
        self._budget_exhausted = False

    def _lanes_in_use(self) -> list[Lane]:
        return [lane for lane in self.lanes.values() if lane.used] or [self.lanes["on_demand"]]

    # -- permits that ended without their holder --------------------------------------------------------------------------

    def _write_off(self, permit: Permit, now: float) -> None:
        self.settle(Settlement(permit.permit_id, "unknown"), now)

    def _settle_late(self, settlement: Settlement) -> None:
        """A permit of an incarnation that died is not ours to count: `restore` says what those cost."""
        if settlement.outcome == "unknown":
            return
        booked = self._permits.take_written_off(settlement.permit_id)
        if booked is not None:
            cost = booked if settlement.outcome == "answered" and settlement.cost_usd is None else settlement.cost_usd
            self._budget.correct(booked, cost or Decimal(0))
