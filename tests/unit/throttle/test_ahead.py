"""Permits that are leased ahead of their use: only out of plenty, for a second, and they come back."""

from decimal import Decimal

import pytest

from helix_ray.throttle.messages import AHEAD_S, Exchange, Settlement
from support.throttle_bench import ThrottleBench, ids, want

PLENTY = 1_000_000


def bench(**config: object) -> ThrottleBench:
    """After so many answers that permits may be leased ahead."""
    b = ThrottleBench(**config)
    b.governor.limiters["on_demand"].served = 1000
    return b


def lease(b: ThrottleBench, *names: str, holder: str = "a", unused: int = 0) -> list[str]:
    """Of requests of 200 tokens and a cent."""
    b.governor.tell(holder, Exchange(unused=unused), b.now)
    b.governor.give_ahead(holder, [want(name)._replace(ahead=True) for name in names], b.now)
    return ids(b.governor.collect(names, b.now))


def counts(b: ThrottleBench) -> tuple[int, Decimal, Decimal]:
    stats = b.governor.stats(b.now)
    return stats.in_flight, stats.reserved_usd, stats.spent_usd


def test_what_is_leased_ahead_is_reserved_and_in_flight_when_it_is_used() -> None:
    b = bench(tokens_per_minute=PLENTY)
    assert lease(b, "x", "y", "z") == ["x", "y", "z"]
    assert counts(b) == (0, Decimal("0.03"), 0)
    assert lease(b, "w", unused=1) == ["w"]
    assert counts(b) == (2, Decimal("0.04"), 0)
    [back] = b.governor.collect(["w"], b.now).grants
    b.governor.tell("a", Exchange(settlements=[Settlement(back.permit_id, "not_sent")], unused=1), b.now)
    assert counts(b) == (2, Decimal("0.03"), 0)


@pytest.mark.parametrize(
    "config",
    [{"tokens_per_minute": PLENTY, "requests_per_minute": 64}, {"tokens_per_minute": PLENTY, "max_cost_usd": 0.64}],
    ids=["a limit", "the budget"],
)
def test_nothing_is_leased_ahead_where_room_is_scarce(config: dict[str, object]) -> None:
    b = bench(**config)
    assert lease(b, "x") == ["x"]
    assert lease(b, "y") == []


def test_nothing_is_leased_ahead_before_the_1000th_answer() -> None:
    b = bench(tokens_per_minute=PLENTY)
    b.governor.limiters["on_demand"].served -= 1
    assert lease(b, "x") == []
    b.settle(b.grant("answered"), "answered")
    assert lease(b, "y") == ["y"]


def test_no_more_is_leased_ahead_than_is_authorised() -> None:
    b = bench(tokens_per_minute=PLENTY)
    b.governor.authorise(Decimal("0.025"))
    assert lease(b, "x", "y", "z") == ["x", "y"]


def test_nothing_is_leased_ahead_while_somebody_waits_or_the_door_is_closed() -> None:
    b = bench(tokens_per_minute=PLENTY)
    large = b.grant("large", prompt=PLENTY - 100_000, holder="b")
    b.ask(want("waits", prompt=200_000), holder="b")
    assert lease(b, "x") == []
    b.settle(large, "not_sent")
    b.governor.advance(b.now)
    assert lease(b, "x") == ["x"]
    b.refuse(b.grant("refused"), kind="TPM", limit=PLENTY, used=PLENTY, requested=200, retry_after_s=5.0)
    assert lease(b, "y") == []


def test_what_is_not_given_back_in_time_is_reclaimed_unless_it_is_on_record() -> None:
    b = bench(tokens_per_minute=PLENTY)
    lease(b, "sent", "kept")
    b.now += AHEAD_S
    lease(b, "other", holder="b")
    assert b.governor.overdue(b.now) == []
    b.now += AHEAD_S
    overdue = b.governor.overdue(b.now)
    assert overdue == ["sent", "kept"]
    b.governor.reclaim(overdue, None, b.now)
    assert b.governor.overdue(b.now) == overdue, "not known: asked about again"
    b.governor.reclaim(overdue, ["sent"], b.now)
    b.governor.tell("a", Exchange(), b.now)
    assert (counts(b), b.governor.overdue(b.now)) == ((1, Decimal("0.02"), 0), [])


@pytest.mark.parametrize(("on_record", "spent_usd"), [(["sent"], "0.02"), (None, "0.03")])
def test_what_a_dead_holder_had_ahead_returns_unless_it_is_on_record(on_record: list[str] | None, spent_usd: str) -> None:
    b = bench(tokens_per_minute=PLENTY)
    b.grant("asked for")
    lease(b, "sent", "unused")
    b.governor.release("a", b.now)
    lease(b, "its successor's")
    assert b.governor.overdue(b.now) == ["sent", "unused"]
    b.governor.reclaim(["sent", "unused"], on_record, b.now)
    assert counts(b) == (0, Decimal("0.01"), Decimal(spent_usd)), "the worst case of what may have been sent"
    assert b.governor.overdue(b.now) == []


def test_a_throttle_that_does_not_know_what_waits_is_told_again_in_full() -> None:
    b = bench()
    b.grant("full", prompt=5900, completion=0)
    assert b.governor.tell("a", Exchange([want("w")], ["lost"]), b.now) == ["lost"]
    b.governor.leave(["w"], b.now)
    assert b.governor.tell("a", Exchange(waiting=["w"]), b.now) == []
