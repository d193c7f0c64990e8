"""The policy of the throttle, whole: who may send a request, and when.

One governor stands for one API key and model. It grants in order of asking, and grants a request iff every bucket has room
for it, the budget covers its worst case, the gate is open, and no probe is under way:

* **Prediction, not reaction.** While the token limit is unknown, one request goes out alone as a probe and its headers name
  the limit (if it fails, the next one is the probe). A server that shows no limit is not probed for ever: the first answer
  without one opens the line. After the gate was closed, again one request goes first.
* **Reservation and settlement.** A grant reserves ``prompt estimate + max_completion_tokens`` and the worst-case price; see
  `bucket` for the accounts, `refund` for what happens to the unused part. Estimates that turn out too low are scaled up for
  the grants that follow.
* **Rejected requests are charged nothing** (429, 413, 4xx, 5xx): their reservations are returned. That is the emulator's
  default and the reading of Groq's messages, where ``Used`` never holds the request that is being refused. Should the
  provider charge them after all, headers and the next 429 correct the token accounts.
* **The dollar cap is hard** across restarts too: nothing is granted before `restore` said what was spent.
* **A limit that a 429 names** gets a bucket with the body's Limit and Used, whatever its window, so that the next such 429
  is foreseen; and the gate keeps the provider's ``retry-after`` besides.

Every method takes ``now``, monotonic seconds. Decisions are taken in `advance`, which is to be called after every other call
and at the moment that `next_ready_in_s` names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from math import ceil

from helix_ray.config import ThrottleConfig
from helix_ray.records import TokenUsage
from helix_ray.throttle.binding import BindingMeter
from helix_ray.throttle.bucket import Bucket, Mark
from helix_ray.throttle.budget import Budget, Room
from helix_ray.throttle.gate import Gate
from helix_ray.throttle.kinds import KINDS
from helix_ray.throttle.line import Line, Waiting
from helix_ray.throttle.messages import (
    AcquireReply,
    RateLimitDetail,
    Refusal,
    Settlement,
    ThrottleStats,
    Want,
)
from helix_ray.throttle.permits import Permit, Permits

_GRACE_S = 30.0  # beyond the request's own deadline
_LARGEST_SCALE = 3.0
_SCALE_MEMORY = 0.998  # per settlement


class Governor:
    """``epoch`` tells this incarnation's permits from those of one that died; ``request_deadline_s`` is the analyzers' total
    deadline for one attempt.
    """

    def __init__(self, config: ThrottleConfig, request_deadline_s: float, epoch: str) -> None:
        self._safety = config.safety_factor
        self._lifetime_s = request_deadline_s + _GRACE_S
        self._epoch = epoch
        tpm = self._tpm = Bucket("TPM", KINDS["TPM"].window_s, config.tokens_per_minute, self._safety)
        self._buckets = {"TPM": tpm}
        if config.requests_per_minute is not None:
            self._buckets["RPM"] = Bucket("RPM", KINDS["RPM"].window_s, config.requests_per_minute, self._safety)
        self._budget = Budget(Decimal(str(config.max_cost_usd)))
        self._restored = False
        self._gate = Gate()
        self._line = Line()
        self._permits = Permits()
        self._meter = BindingMeter()
        self._refusals: dict[str, Refusal] = {}
        self._stopped: Refusal | None = None
        self._probe: str | None = None  # the permit that is out alone
        self._limits_shown = True  # until an answer comes without them
        self._scale = 1.0  # of prompt estimates
        self._granted = self._answered = self._http_429 = 0
        self._active_until = 0.0
        self._budget_exhausted = False

    # -- asking ---------------------------------------------------------------------------------------------------------

    def ask(self, holder: str, wants: Sequence[Want], now: float) -> None:
        """One call waits for these wants from now on; `leave` ends it. A want that holds a permit is not queued again."""
        self._line.ask(holder, [want for want in wants if self._permits.of_want(want.want_id) is None], now)

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
        return AcquireReply(grants, self._stopped or (refusals[0] if refusals else None))

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
        decided = []
        for waiting in self._line.listening():
            want = waiting.want
            if self._stopped is not None:
                self._line.remove(want.want_id)
                decided.append(want.want_id)
                continue
            room = self._budget.room(want.worst_case_usd)
            if room is Room.NEVER:
                self._refuse_for_budget(want)
                decided.append(want.want_id)
                continue
            wait_s, bucket = self._wait(waiting, now)
            if wait_s != 0.0 or room is Room.WAIT:
                self._meter.note(bucket, now)
                return decided
            self._give(waiting, now)
            decided.append(want.want_id)
        self._meter.note(None, now)
        return decided

    def next_ready_in_s(self, now: float) -> float | None:
        """When `advance` can grant by the passing of time alone; None: nobody waits, or only an event can help."""
        head = self._line.head()
        if head is None or self._budget.room(head.want.worst_case_usd) is not Room.YES:
            return None
        return self._wait(head, now)[0]

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
                self._settle_answered(permit, settlement, now)
            case "rejected" | "not_sent":
                self._budget.settle(worst, settlement.cost_usd or Decimal(0))
                self._give_back(permit, settlement, now)
            case "unknown":
                self._budget.settle(worst, worst)
                self._permits.write_off(permit)
                self._keep_whole(permit, now)
        if self._probe == permit.permit_id:
            self._probe = None

    def release(self, holder: str, now: float) -> None:
        """The holder died: its wants are forgotten, its permits count as sent and billed at their worst case."""
        self._line.forget(holder)
        for permit in self._permits.of_holder(holder):
            self._write_off(permit, now)

    # -- commands -------------------------------------------------------------------------------------------------------

    def restore(self, spent_usd: Decimal) -> None:
        """What the run has spent already, US dollars. Nothing is granted before it is said: a throttle that comes back
        empty must not spend the budget again.
        """
        self._budget.restore(spent_usd)
        self._restored = True

    def set_budget(self, max_cost_usd: Decimal) -> None:
        self._budget.max_cost_usd = max_cost_usd
        self._budget_exhausted = False

    def stop(self, message: str) -> None:
        """The provider refuses for good: everybody who waits or asks is refused. The first message stays."""
        self._stopped = self._stopped or Refusal("refused", message)

    def stats(self, now: float) -> ThrottleStats:
        busy = len(self._permits) > 0 or len(self._line) > 0
        until = now if busy else self._active_until
        buckets = {name: stats for name, bucket in self._buckets.items() if (stats := bucket.stats(now, until)) is not None}
        return ThrottleStats(
            buckets=buckets,
            spent_usd=self._budget.spent,
            reserved_usd=self._budget.reserved,
            max_cost_usd=self._budget.max_cost_usd,
            in_flight=len(self._permits),
            waiting=len(self._line),
            granted=self._granted,
            answered=self._answered,
            http_429=self._http_429,
            gate_closed_for_s=self._gate.closed_for_s(now),
            probing=self._must_probe(),
            binding=self._meter.binding(now),
            budget_exhausted=self._budget_exhausted,
            refunds=self._tpm.refunds.verdict,
            refused=None if self._stopped is None else self._stopped.message,
        )

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is in flight: no time needs to be watched."""
        return len(self._line) == 0 and len(self._permits) == 0

    # -- deciding -------------------------------------------------------------------------------------------------------

    def _must_probe(self) -> bool:
        return self._gate.cautious or (self._tpm.limit is None and self._limits_shown)

    def _amount(self, bucket: Bucket, want: Want) -> float:
        prompt = want.prompt_tokens if self._scale <= 1.0 else ceil(want.prompt_tokens * self._scale)
        return KINDS[bucket.name].amount(prompt, want.max_completion_tokens)

    def _wait(self, waiting: Waiting, now: float) -> tuple[float | None, str | None]:
        """How long this want waits (None: for an event), and the bucket that is to blame."""
        if not self._restored or (self._must_probe() and self._probe is not None):
            return None, None
        longest, slowest = self._gate.closed_for_s(now), None
        for name, bucket in self._buckets.items():
            wait_s = bucket.wait_s(self._amount(bucket, waiting.want), now)
            if wait_s is None:
                return None, name
            if wait_s > longest:
                longest, slowest = wait_s, name
        return longest, slowest

    def _give(self, waiting: Waiting, now: float) -> None:
        want = waiting.want
        self._granted += 1
        marks = {name: each.reserve(self._amount(each, want), self._granted, now) for name, each in self._buckets.items()}
        self._budget.reserve(want.worst_case_usd)
        permit_id = f"{self._epoch}-{self._granted}"
        self._permits.add(Permit(permit_id, self._granted, waiting.holder, want, now, now + self._lifetime_s, marks))
        self._line.remove(want.want_id)
        self._budget_exhausted = False
        if self._must_probe():
            self._probe = permit_id

    def _refuse_for_budget(self, want: Want) -> None:
        self._budget_exhausted = True
        self._line.remove(want.want_id)
        self._refusals[want.want_id] = Refusal(
            "budget",
            f"throttle.max_cost_usd: ${self._budget.spent} of ${self._budget.max_cost_usd} are spent and the next request may "
            f"cost ${want.worst_case_usd}; raise the cap and resume the run",
        )

    # -- what became of a request ---------------------------------------------------------------------------------------

    def _settle_answered(self, permit: Permit, settlement: Settlement, now: float) -> None:
        self._answered += 1
        self._gate.passed(permit.granted_at)
        usage, reading = settlement.usage, settlement.reading
        if reading is None or reading.tokens_limit is None:
            self._limits_shown = False
        if usage is None:  # an answer that nobody can read: what it used is not known
            self._keep_whole(permit, now)
            return
        if reading is not None:
            self._read("TPM", permit, (reading.tokens_limit, reading.tokens_remaining), usage, now)
            self._read("RPD", permit, (reading.requests_limit, reading.requests_remaining), usage, now)
        if permit.want.prompt_tokens > 0:
            self._scale = max(1.0, self._scale * _SCALE_MEMORY, min(_LARGEST_SCALE, usage.prompt / permit.want.prompt_tokens))
        lag_s = max(0.0, now - settlement.sent_at_age_s - permit.granted_at) if settlement.sent_at_age_s > 0 else 0.0
        for name, mark in permit.marks.items():
            whole = KINDS[name].amount(usage.prompt, permit.want.max_completion_tokens)
            returned = KINDS[name].amount(usage.prompt - usage.cached, usage.completion)
            self._buckets[name].settle(mark, whole, returned, now, lag_s)

    def _read(self, name: str, permit: Permit, shown: tuple[float | None, float | None], usage: TokenUsage, now: float) -> None:
        limit, remaining = shown
        if limit is None:
            return
        known = name in self._buckets
        bucket = self._bucket(name)
        if not bucket.adopt(limit, permit.number, now) or remaining is None:
            return
        mark: Mark | None = permit.marks.get(name)
        if mark is not None:
            bucket.read(mark, remaining, KINDS[name].amount(usage.prompt, permit.want.max_completion_tokens), now)
        elif not known:
            bucket.exhausted(limit - remaining, 0.0, now)  # a first sight: the header is the account

    def _give_back(self, permit: Permit, settlement: Settlement, now: float) -> None:
        for name, mark in permit.marks.items():
            self._buckets[name].give_back(mark, now)
        reading, limited = settlement.reading, settlement.limited
        if reading is not None and reading.tokens_limit is not None:
            first = self._tpm.limit is None
            if self._tpm.adopt(reading.tokens_limit, permit.number, now) and first and reading.tokens_remaining is not None:
                self._tpm.exhausted(reading.tokens_limit - reading.tokens_remaining, 0.0, now)
        if limited is None:
            return
        if limited.never_fits:  # a 413: nothing to wait for
            if limited.kind is not None and limited.limit is not None:
                self._bucket(limited.kind).adopt(limited.limit, permit.number, now)
            return
        self._http_429 += 1
        self._gate.close(limited.retry_after_s, permit.granted_at, now)
        self._learn(limited, permit, now)

    def _learn(self, limited: RateLimitDetail, permit: Permit, now: float) -> None:
        if limited.kind is None or limited.limit is None:
            return
        bucket = self._bucket(limited.kind)
        if bucket.adopt(limited.limit, permit.number, now) and limited.used is not None:
            bucket.exhausted(_unrounded(limited, bucket.window_s), self._permits.reserved_before(limited.kind, permit.number), now)

    def _bucket(self, name: str) -> Bucket:
        if name not in self._buckets:
            self._buckets[name] = Bucket(name, KINDS[name].window_s, None, self._safety, self._tpm.refunds)
        return self._buckets[name]

    def _keep_whole(self, permit: Permit, now: float) -> None:
        for name, mark in permit.marks.items():
            self._buckets[name].settle(mark, mark.amount, mark.amount, now)

    def _write_off(self, permit: Permit, now: float) -> None:
        self.settle(Settlement(permit.permit_id, "unknown"), now)

    def _settle_late(self, settlement: Settlement) -> None:
        if settlement.outcome == "unknown":
            return
        booked = self._permits.take_written_off(settlement.permit_id)
        if booked is not None:
            cost = booked if settlement.outcome == "answered" and settlement.cost_usd is None else settlement.cost_usd
            self._budget.correct(booked, cost or Decimal(0))
        elif not settlement.permit_id.startswith(f"{self._epoch}-") and self._permits.first_sight(settlement.permit_id):
            self._budget.correct(Decimal(0), settlement.cost_usd or Decimal(0))  # given by an incarnation that died


def _unrounded(limited: RateLimitDetail, window_s: float) -> float:
    """``Used`` of a 429 before it was rounded for its message: the wait that it asks for tells, since by the bucket law
    ``wait = (used + requested - limit) / limit × window``. The half that rounding may hide is the next 429.
    """
    assert limited.limit is not None
    assert limited.used is not None
    if limited.requested is None or limited.retry_after_s is None:
        return limited.used + 0.5
    exact = limited.limit - limited.requested + limited.retry_after_s * limited.limit / window_s
    return min(max(exact, limited.used - 0.5), limited.used + 1.0)
