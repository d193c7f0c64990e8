"""The throttle's decisions, one at a time: buckets, the line, permits as leases, money."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.actors.prometheus import numbers_of
from helix_ray.config import ThrottleConfig
from helix_ray.records import TokenUsage
from helix_ray.throttle.governor import Governor
from helix_ray.throttle.messages import AcquireReply, PermitRequest, Settlement
from support.throttle_desk import CENT, Desk, ids, want

# -- buckets ------------------------------------------------------------------------------------------------------------


def test_the_bucket_grants_its_credit_at_once_and_then_refills_steadily() -> None:
    desk = Desk()
    names = [f"w{n}" for n in range(60)]
    reply = desk.ask(*(want(name) for name in names))
    assert ids(reply) == names[:30]
    for grant in reply.grants:
        desk.answer(grant)
    assert desk.governor.next_ready_in_s(desk.now) == pytest.approx(2.0)  # 200 tokens at 100 a second
    assert desk.granted(1.999, names[30:]) == []
    assert desk.granted(0.001, names[30:]) == ["w30"]


def test_the_line_is_first_come_first_served() -> None:
    desk = Desk()
    first = desk.ask(*(want(f"w{n}") for n in range(30)))
    names = [f"n{n}" for n in range(5)]
    assert ids(desk.ask(*(want(name, 100 + 10 * n, 100) for n, name in enumerate(names)))) == []
    for grant in first.grants:
        desk.answer(grant)
    assert desk.granted(60, names) == names


def test_small_wants_pass_a_large_one_until_they_are_as_much_as_it_is() -> None:
    desk = Desk()
    first = desk.ask(*(want(f"w{n}") for n in range(30)))
    small = [want(f"s{n:02}") for n in range(10)]
    assert ids(desk.ask(want("large", 1000, 1000))) == []
    assert ids(desk.ask(*small, want("medium", 600, 600))) == []
    for grant in first.grants:
        desk.answer(grant)
    order = desk.granted(90, ["large", "medium", *(each.want_id for each in small)])
    assert order[:3] == ["s00", "s01", "large"], "for 5 s, at 100 tokens a second"
    assert sorted(order) == sorted(["large", "medium", *(each.want_id for each in small)])


def test_a_large_want_is_passed_by_its_own_size_at_most() -> None:
    desk = Desk(tokens_per_minute=60_000)
    full = desk.grant("full", prompt=59_900)
    assert ids(desk.ask(want("large", 1000, 1000))) == []
    desk.ask(*(want(f"s{n:02}") for n in range(20)))
    desk.answer(full, 59_900)
    order = desk.granted(20, ["large", *(f"s{n:02}" for n in range(20))])
    assert order.index("large") == 10


def test_requests_per_minute_hold_as_well() -> None:
    desk = Desk(requests_per_minute=3)
    reply = desk.ask(*(want(f"w{n}", 1, 1) for n in range(5)))
    assert ids(reply) == ["w0", "w1", "w2"]
    for grant in reply.grants:
        desk.answer(grant, 1, 1)
    assert desk.granted(39, ["w3", "w4"]) == ["w3"]
    assert desk.governor.stats(desk.now).binding == "RPM"


def test_a_want_larger_than_the_bucket_goes_out_alone_when_it_is_empty() -> None:
    """The provider's 413 is the answer to it; waiting for room that never comes would block everybody."""
    desk = Desk()
    first = desk.grant("first")
    assert ids(desk.ask(want("huge", 6000, 512))) == []
    desk.answer(first)
    assert desk.granted(3, ["huge"]) == ["huge"]


@given(
    st.lists(
        st.tuples(st.floats(0, 20), st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(["answered", "unknown", "in flight"])),
        min_size=1,
        max_size=60,
    )
)
def test_no_window_ever_holds_more_than_the_law_allows(steps: list[tuple[float, int, int, str]]) -> None:
    """Granted in [t, t + w] <= limit + limit × w / 60, when nothing is returned."""
    desk = Desk(requests_per_minute=20)
    grants: list[tuple[float, int]] = []
    waiting: dict[str, tuple[PermitRequest, str]] = {}
    for number, (pause, prompt, completion, ending) in enumerate(steps):
        one = want(f"w{number}", prompt, completion)
        waiting[one.want_id] = (one, ending)
        desk.now += pause
        desk.governor.ask("a", [one], desk.now)
        for name in desk.governor.advance(desk.now):
            [grant] = desk.governor.collect([name], desk.now).grants
            served, ending_of = waiting.pop(name)
            grants.append((desk.now, served.prompt_tokens + served.max_completion_tokens))
            if ending_of == "answered":
                desk.answer(grant, served.prompt_tokens, served.max_completion_tokens)
            elif ending_of == "unknown":
                desk.settle(grant, "unknown")
    for start in range(len(grants)):
        total = 0
        for end in range(start, len(grants)):
            total += grants[end][1]
            window = grants[end][0] - grants[start][0]
            assert total <= 6000 * (1 + window / 60) + 0.01
            assert end - start + 1 <= 20 * (1 + window / 60) + 0.01


# -- permits are leases -------------------------------------------------------------------------------------------------


def test_asking_again_keeps_the_place_and_returns_the_same_permit() -> None:
    desk = Desk()
    full = desk.grant("full", prompt=5900)
    desk.ask(want("first"), holder="a")
    desk.ask(want("second"), holder="b")
    desk.governor.leave(["first"], desk.now)
    desk.ask(want("first"), holder="a")
    desk.settle(full, "not_sent")
    assert desk.governor.advance(desk.now) == ["first", "second"]
    [grant] = desk.ask(want("first")).grants
    assert desk.ask(want("first")).grants == [grant]
    assert desk.governor.stats(desk.now).granted == 3


def test_nothing_is_granted_to_a_want_that_nobody_waits_for() -> None:
    desk = Desk()
    full = desk.grant("full", prompt=5900)
    desk.ask(want("away"))
    desk.ask(want("here"))
    desk.governor.leave(["away"], desk.now)
    desk.settle(full, "not_sent")
    assert desk.governor.advance(desk.now) == ["here"]
    desk.now += 9
    assert ids(desk.ask(want("away"))) == ["away"]


def test_a_want_that_is_not_asked_for_again_is_dropped_after_10_s() -> None:
    desk = Desk()
    desk.grant("full", prompt=5900)
    desk.ask(want("away"))
    desk.governor.leave(["away"], desk.now)
    desk.now += 10.1
    desk.governor.advance(desk.now)
    assert desk.governor.stats(desk.now).waiting == 0


def test_an_expired_permit_counts_as_sent_and_a_late_settlement_puts_the_money_right() -> None:
    desk = Desk()
    grant = desk.grant("w0")
    assert grant.expires_in_s == 90
    desk.now += 90
    desk.governor.advance(desk.now)
    stats = desk.governor.stats(desk.now)
    assert (stats.in_flight, stats.spent_usd, stats.reserved_usd) == (0, CENT, 0)
    assert stats.buckets["TPM"].settled == 200
    desk.answer(grant)
    desk.answer(grant)
    assert desk.governor.stats(desk.now).spent_usd == Decimal("0.001")


def test_release_writes_off_what_a_dead_holder_held() -> None:
    desk = Desk()
    desk.grant("w0", holder="dead")
    alive = desk.grant("w1", holder="alive", prompt=5700)
    desk.ask(want("w2"), holder="dead")
    desk.governor.release("dead", desk.now)
    stats = desk.governor.stats(desk.now)
    assert (stats.in_flight, stats.waiting, stats.spent_usd) == (1, 0, CENT)
    desk.settle(alive, "not_sent")


def test_withdrawing_drops_wants_and_gives_permits_back() -> None:
    desk = Desk()
    desk.grant("w0", prompt=5900)
    desk.ask(want("w1"))
    desk.governor.withdraw("a", ["w0", "w1"], desk.now)
    stats = desk.governor.stats(desk.now)
    assert (stats.in_flight, stats.waiting, stats.spent_usd, stats.buckets["TPM"].credit) == (0, 0, 0, 6000)


# -- money --------------------------------------------------------------------------------------------------------------


def test_the_budget_waits_for_what_is_in_flight_and_refuses_only_then() -> None:
    desk = Desk(max_cost_usd=0.025)
    first, second = desk.grant("w0"), desk.grant("w1")
    waits = desk.ask(want("w2"))
    assert waits == AcquireReply([], None)
    assert desk.governor.next_ready_in_s(desk.now) is None
    desk.answer(first)  # $0.001 instead of $0.01
    assert desk.governor.advance(desk.now) == ["w2"]
    third = desk.governor.collect(["w2"], desk.now).grants[0]
    desk.settle(second, "unknown")
    desk.settle(third, "unknown")
    refusal = desk.ask(want("w3")).refusal
    assert refusal is not None
    assert refusal.reason == "budget"
    assert desk.governor.stats(desk.now).budget_exhausted
    desk.governor.set_budget(Decimal(1))
    assert ids(desk.ask(want("w3"))) == ["w3"]
    assert not desk.governor.stats(desk.now).budget_exhausted


def test_nothing_is_granted_before_the_money_already_spent_is_known() -> None:
    governor = Governor(ThrottleConfig(tokens_per_minute=1000, max_cost_usd=1.0), 60.0, "e")
    governor.ask("a", [want("w0")], 0.0)
    assert governor.advance(0.0) == []
    governor.restore(Decimal("0.995"))
    assert governor.advance(0.0) == ["w0"]
    refusal = governor.collect(["w0"], 0.0).refusal
    assert refusal is not None
    assert refusal.reason == "budget"


def test_restoring_twice_counts_once() -> None:
    desk = Desk()
    desk.answer(desk.grant("w0"))
    desk.governor.restore(Decimal(2))
    desk.governor.restore(Decimal(2))
    assert desk.governor.stats(desk.now).spent_usd == Decimal("2.001")


def test_what_a_permit_of_an_earlier_incarnation_cost_is_said_by_restore_alone() -> None:
    desk = Desk()
    desk.governor.restore(Decimal("0.7"), provisional=True)
    foreign = Settlement("other-7", "answered", TokenUsage(1, 0, 1), Decimal("0.5"))
    desk.governor.settle(foreign, desk.now)
    assert desk.governor.stats(desk.now).spent_usd == Decimal("0.7")
    desk.governor.restore(Decimal("0.5"))
    assert desk.governor.stats(desk.now).spent_usd == Decimal("0.5")


def test_after_stop_everybody_is_refused() -> None:
    desk = Desk()
    desk.grant("w0", prompt=5900)
    desk.ask(want("w1"))
    desk.governor.stop("401: Invalid API Key")
    assert desk.governor.advance(desk.now) == ["w1"]
    for name in ("w1", "w2"):
        refusal = desk.ask(want(name)).refusal
        assert refusal is not None
        assert (refusal.reason, refusal.message) == ("refused", "401: Invalid API Key")


# -- statistics ---------------------------------------------------------------------------------------------------------


def test_utilisation_is_what_was_settled_of_what_there_was() -> None:
    desk = Desk()
    for n in range(30):
        desk.answer(desk.grant(f"w{n}"))
    desk.now += 60  # idle: this minute does not count
    bucket = desk.governor.stats(desk.now).buckets["TPM"]
    assert bucket.settled == 6000
    assert bucket.initial_credit == 6000
    assert bucket.utilisation == pytest.approx(1.0)
    desk.grant("w31")
    assert desk.governor.stats(desk.now).buckets["TPM"].utilisation == pytest.approx(0.5)


def test_statistics_flatten_to_numbers_and_texts() -> None:
    desk = Desk(requests_per_minute=10)
    desk.answer(desk.grant("w0"))
    stats = desk.governor.stats(desk.now)
    numbers = {name: value for name, _, value in numbers_of(stats)}
    assert numbers["requests_granted_total"] == 1
    assert numbers["bucket_RPM_limit"] == 10
    assert numbers["bucket_TPM_credit"] == 5800
    assert {name: bucket.source for name, bucket in stats.buckets.items()} == {"TPM": "configured", "RPM": "configured"}
    assert (stats.binding, stats.breaker, stats.parked) == (None, "closed", None)
