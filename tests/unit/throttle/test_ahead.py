"""Permits that are leased ahead of their use: only out of plenty, for a second, and they come back."""

from decimal import Decimal

import pytest

from helix_ray.throttle.messages import AHEAD_S, Ahead, Exchange, Settlement
from support.throttle_bench import ThrottleBench, want

LIKE = want("like")  # 200 tokens
PLENTY = 1_000_000


def lease(b: ThrottleBench, held: list[str], more: list[str], holder: str = "a") -> list[str]:
    return [permit.want_id for permit in b.governor.lease_ahead(holder, Ahead(LIKE, held, more), b.now)]


def counts(b: ThrottleBench) -> tuple[int, Decimal]:
    stats = b.governor.stats(b.now)
    return stats.in_flight, stats.reserved_usd


def test_what_is_held_is_reserved_and_in_flight_once_it_is_not_named_any_more() -> None:
    b = ThrottleBench(tokens_per_minute=PLENTY)
    assert lease(b, [], ["x", "y", "z"]) == ["x", "y", "z"]
    assert counts(b) == (0, Decimal("0.03"))
    assert lease(b, ["y", "z"], ["w"]) == ["y", "z", "w"]
    assert counts(b) == (1, Decimal("0.04"))
    [permit] = [permit for permit in b.governor.lease_ahead("a", Ahead(LIKE, ["y"]), b.now) if permit.want_id == "y"]
    b.governor.tell("a", Exchange(settlements=[Settlement(permit.permit_id, "not_sent")]), b.now)
    assert counts(b) == (3, Decimal("0.03"))


@pytest.mark.parametrize(
    "config",
    [{"tokens_per_minute": 64 * 200 + 199, "requests_per_minute": 63}, {"tokens_per_minute": PLENTY, "max_cost_usd": 0.64}],
    ids=["a limit", "the budget"],
)
def test_nothing_is_leased_ahead_where_room_is_scarce(config: dict[str, object]) -> None:
    b = ThrottleBench(**config)
    assert lease(b, [], ["x"]) == ["x"]
    assert lease(b, ["x"], ["y"]) == [], "and what is held is to be given back"


def test_nothing_is_leased_ahead_while_somebody_waits_or_the_door_is_closed() -> None:
    b = ThrottleBench(tokens_per_minute=PLENTY)
    large = b.grant("large", prompt=PLENTY - 100_000, holder="b")
    b.ask(want("waits", prompt=200_000), holder="b")
    assert lease(b, [], ["x"]) == []
    b.settle(large, "not_sent")
    b.governor.advance(b.now)
    assert lease(b, [], ["x"]) == ["x"]
    b.refuse(b.grant("refused"), kind="TPM", limit=PLENTY, used=PLENTY, requested=200, retry_after_s=5.0)
    assert lease(b, ["x"], ["y"]) == []


def test_what_is_neither_named_nor_given_back_in_time_is_reclaimed_unless_it_is_on_record() -> None:
    b = ThrottleBench(tokens_per_minute=PLENTY)
    lease(b, [], ["sent", "kept", "named"])
    b.now += AHEAD_S
    lease(b, ["sent", "kept", "named"], [])
    b.now += 1.5 * AHEAD_S
    b.governor.lease_ahead("b", Ahead(LIKE, [], ["other"]), b.now)
    assert b.governor.overdue(b.now) == []
    b.now += 0.5 * AHEAD_S
    overdue = b.governor.overdue(b.now)
    assert overdue == ["sent", "kept", "named"]
    b.governor.reclaim(overdue, None, b.now)
    assert b.governor.overdue(b.now) == overdue, "not known: asked about again"
    b.governor.reclaim(overdue, ["sent"], b.now)
    assert (counts(b), b.governor.overdue(b.now)) == ((1, Decimal("0.02")), [])
    assert b.governor.stats(b.now).spent_usd == 0


@pytest.mark.parametrize(("on_record", "spent_usd"), [(["sent"], "0.02"), (None, "0.03")])
def test_what_a_dead_holder_held_ahead_returns_unless_it_is_on_record(on_record: list[str] | None, spent_usd: str) -> None:
    b = ThrottleBench(tokens_per_minute=PLENTY)
    b.grant("asked for")
    lease(b, [], ["sent", "unused"])
    b.governor.release("a", b.now)
    lease(b, [], ["its successor's"])
    assert b.governor.overdue(b.now) == ["sent", "unused"]
    b.governor.reclaim(["sent", "unused"], on_record, b.now)
    assert counts(b) == (0, Decimal("0.01"))
    assert b.governor.stats(b.now).spent_usd == Decimal(spent_usd), "the worst case of what may have been sent"


def test_a_throttle_that_does_not_know_what_waits_is_told_again_in_full() -> None:
    b = ThrottleBench()
    b.grant("full", prompt=5900, completion=0)
    assert b.governor.tell("a", Exchange([want("w")], ["lost"]), b.now) == ["lost"]
    b.governor.leave(["w"], b.now)
    assert b.governor.tell("a", Exchange(waiting=["w"]), b.now) == []
