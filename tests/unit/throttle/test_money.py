"""The dollar cap in every interleaving of grants, endings, deaths and late answers, and over deaths of actors and whole runs."""

from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from helix_ray.config import ThrottleConfig
from helix_ray.providers.readings import RateLimitDetail
from helix_ray.records import TokenUsage
from helix_ray.throttle.governor import Governor
from helix_ray.throttle.messages import PermitRequest, Settlement
from support.money_world import LARGEST, Bill, Deaths, MoneyWorld

OUTCOMES = st.sampled_from(["answered", "rejected", "not_sent", "unknown", "limited"])


class Money(RuleBasedStateMachine):
    """Amounts are in thousandths of a dollar. ``real`` is what the provider would have billed for each permit."""

    def __init__(self) -> None:
        super().__init__()
        self.governor = Governor(ThrottleConfig(tokens_per_minute=100_000, max_cost_usd=1.0), 60.0, "e")
        self.governor.restore(Decimal("0.1"))
        self.governor.limiters["on_demand"].has_answered = True  # no probe first
        self.governor.limiters["on_demand"].served = 1000  # long enough to lease ahead
        self.cap = Decimal(1)
        self.now = 0.0
        self.number = 0
        self.waiting: dict[str, Decimal] = {}
        self.open: dict[str, Decimal] = {}
        self.leased: dict[str, str] = {}  # permits ahead of their use, by request
        self.closed: list[str] = []
        self.billed = Decimal("0.1")

    @rule(millis=st.integers(1, 400), holder=st.sampled_from("ab"))
    def ask(self, millis: int, holder: str) -> None:
        self.number += 1
        name = f"{holder}{self.number}"
        self.waiting[name] = Decimal(millis) / 1000
        self.governor.ask(holder, [PermitRequest(name, 10, 10, self.waiting[name])], self.now)

    @rule(seconds=st.floats(0, 40))
    def decide(self, seconds: float) -> None:
        self.now += seconds
        for name in self.governor.advance(self.now):
            reply = self.governor.collect([name], self.now)
            worst = self.waiting.pop(name)
            for grant in reply.grants:
                self.open[grant.permit_id] = worst
            if reply.refusal is not None:
                assert self.governor.stats(self.now).spent_usd + worst > self.cap

    @rule(millis=st.integers(1, 4), holder=st.sampled_from("ab"), requests=st.integers(1, 3))
    def lease_ahead(self, millis: int, holder: str, requests: int) -> None:
        self.number += 1
        worst = Decimal(millis) / 1000
        wants = [PermitRequest(f"{holder}{self.number}-{n}", 10, 10, worst, ahead=True) for n in range(requests)]
        self.governor.give_ahead(holder, wants, self.now)
        leased = self.governor.collect([each.want_id for each in wants], self.now).grants
        self.open |= {permit.permit_id: worst for permit in leased}
        self.leased |= {permit.want_id: permit.permit_id for permit in leased}

    @precondition(lambda self: self.governor.overdue(self.now))
    @rule(data=st.data(), known=st.booleans())
    def reclaim(self, data: st.DataObject, known: bool) -> None:
        """The sink refuses from then on what was not on record, so that nobody can be billed for it."""
        overdue = self.governor.overdue(self.now)
        on_record = data.draw(st.lists(st.sampled_from(overdue))) if known else None
        self.governor.reclaim(overdue, on_record, self.now)
        for permit_id in (self.leased[want_id] for want_id in overdue if on_record is not None and want_id not in on_record):
            if self.open.pop(permit_id, None) is not None:
                self.closed.append(permit_id)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), outcome=OUTCOMES, share=st.integers(0, 100))
    def settle(self, data: st.DataObject, outcome: str, share: int) -> None:
        permit_id = data.draw(st.sampled_from(sorted(self.open)))
        worst = self.open.pop(permit_id)
        self.closed.append(permit_id)
        match outcome:
            case "answered":
                cost = worst * share / 100
                self.billed += cost
                settlement = Settlement(permit_id, "answered", TokenUsage(10, 0, 5), cost)
            case "limited":
                settlement = Settlement(permit_id, "rejected", limited=RateLimitDetail(retry_after_s=1.0))
            case "unknown":
                self.billed += worst * share / 100
                settlement = Settlement(permit_id, "unknown")
            case _:
                settlement = Settlement(permit_id, outcome)  # type: ignore[arg-type]
        self.governor.settle(settlement, self.now)

    @precondition(lambda self: self.closed)
    @rule(data=st.data(), outcome=st.sampled_from(["rejected", "not_sent", "unknown"]))
    def settle_again(self, data: st.DataObject, outcome: str) -> None:
        permit_id = data.draw(st.sampled_from(self.closed))
        before = self.governor.stats(self.now)
        self.governor.settle(Settlement(permit_id, "unknown"), self.now)
        assert self.governor.stats(self.now).spent_usd == before.spent_usd

    @rule(holder=st.sampled_from("ab"))
    def die(self, holder: str) -> None:
        self.governor.release(holder, self.now)
        self.waiting = {name: worst for name, worst in self.waiting.items() if not name.startswith(holder)}

    @rule(millis=st.integers(0, 500))
    def raise_the_cap(self, millis: int) -> None:
        self.cap += Decimal(millis) / 1000
        self.governor.set_budget(self.cap)

    @invariant()
    def never_above_the_cap(self) -> None:
        stats = self.governor.stats(self.now)
        assert stats.spent_usd + stats.reserved_usd <= self.cap
        assert stats.reserved_usd >= 0
        assert (stats.reserved_usd == 0) or len(self.governor._permits) > 0
        in_open = sum(self.open.values(), Decimal(0))
        assert self.billed <= stats.spent_usd + stats.reserved_usd <= self.billed + in_open + self.cap


Money.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMoney = Money.TestCase


CAP = Decimal("0.2")


async def run(seed: int, deaths: Deaths) -> Bill:
    """The world itself asserts that what is billed and in flight never passes the cap.

    The ledger is an upper bound: where an answer was settled and its row died with the analyzer, it holds the worst case.
    """
    bill = await MoneyWorld(seed, CAP, deaths).run()
    assert bill.provider_usd <= bill.ledger_usd <= CAP + bill.unrecorded_usd
    assert bill.highest_usd <= CAP
    return bill


@pytest.mark.parametrize("seed", range(5))
async def test_without_deaths_the_ledger_is_the_bill_and_the_run_stops_at_the_cap(seed: int) -> None:
    bill = await run(seed, Deaths())
    unknown = bill.ledger_usd - bill.provider_usd
    assert 0 <= unknown <= CAP / 10, "answers that were lost count at their worst case"
    assert CAP - bill.ledger_usd < LARGEST
    assert bill.requests > 200


@pytest.mark.parametrize("seed", range(8))
async def test_deaths_of_the_throttle_cost_no_money(seed: int) -> None:
    bill = await run(seed, Deaths(throttle=0.02))
    assert CAP - bill.ledger_usd < LARGEST


@pytest.mark.parametrize("seed", range(8))
async def test_a_run_that_is_killed_and_resumed_keeps_its_cap(seed: int) -> None:
    bill = await run(seed, Deaths(run=0.2))
    assert bill.resumes > 0
    assert CAP - bill.ledger_usd < LARGEST


@pytest.mark.parametrize("seed", range(12))
async def test_the_cap_holds_whoever_dies(seed: int) -> None:
    bill = await run(seed, Deaths(throttle=0.1, analyzer=0.3, run=0.1))
    assert bill.throttle_deaths + bill.analyzer_deaths + bill.resumes > 0
