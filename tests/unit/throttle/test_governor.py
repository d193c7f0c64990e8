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
from support.throttle_bench import CENT, ThrottleBench, ids, want

# -- buckets ------------------------------------------------------------------------------------------------------------


def test_the_bucket_grants_its_credit_at_once_and_then_refills_steadily() -> None:
    bench = ThrottleBench()
    names = [f"w{n}" for n in range(60)]
    reply = bench.ask(*(want(name) for name in names))
    assert ids(reply) == names[:30]
    for grant in reply.grants:
        bench.answer(grant)
    bench.governor.advance(bench.now)
    assert bench.governor.next_ready_in_s(bench.now) == pytest.approx(2.0)  # 200 tokens at 100 a second
    assert bench.granted(1.999, names[30:]) == []
    assert bench.granted(0.001, names[30:]) == ["w30"]


def test_the_line_is_first_come_first_served() -> None:
    bench = ThrottleBench()
    first = bench.ask(*(want(f"w{n}") for n in range(30)))
    names = [f"n{n}" for n in range(5)]
    assert ids(bench.ask(*(want(name, 100 + 10 * n, 100) for n, name in enumerate(names)))) == []
    for grant in first.grants:
        bench.answer(grant)
    assert bench.granted(60, names) == names


def test_a_large_want_lets_no_small_one_pass() -> None:
    bench = ThrottleBench()
    for grant in bench.ask(*(want(f"w{n}") for n in range(30))).grants:
        bench.answer(grant)
    names = ["large", "s0", "s1"]
    assert ids(bench.ask(want("large", 1000, 1000), want("s0"), want("s1"))) == []
    assert bench.granted(30, names) == names


def test_requests_per_minute_hold_as_well() -> None:
    bench = ThrottleBench(requests_per_minute=3)
    reply = bench.ask(*(want(f"w{n}", 1, 1) for n in range(5)))
    assert ids(reply) == ["w0", "w1", "w2"]
    for grant in reply.grants:
        bench.answer(grant, 1, 1)
    assert bench.granted(39, ["w3", "w4"]) == ["w3"]
    assert bench.governor.stats(bench.now).binding == "RPM"


def test_a_want_larger_than_the_bucket_goes_out_alone_when_it_is_empty() -> None:
    """The provider's 413 is the answer to it; waiting for room that never comes would block everybody."""
    bench = ThrottleBench()
    first = bench.grant("first")
    assert ids(bench.ask(want("huge", 6000, 512))) == []
    bench.answer(first)
    assert bench.granted(3, ["huge"]) == ["huge"]


@given(
    st.lists(
        st.tuples(st.floats(0, 20), st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(["answered", "unknown", "in flight"])),
        min_size=1,
        max_size=60,
    )
)
def test_no_window_ever_holds_more_than_the_law_allows(steps: list[tuple[float, int, int, str]]) -> None:
    """Granted in [t, t + w] <= limit + limit × w / 60, when nothing is returned."""
    bench = ThrottleBench(requests_per_minute=20)
    grants: list[tuple[float, int]] = []
    waiting: dict[str, tuple[PermitRequest, str]] = {}
    for number, (pause, prompt, completion, ending) in enumerate(steps):
        one = want(f"w{number}", prompt, completion)
        waiting[one.want_id] = (one, ending)
        bench.now += pause
        bench.governor.ask("a", [one], bench.now)
        for name in bench.governor.advance(bench.now):
            [grant] = bench.governor.collect([name], bench.now).grants
            served, ending_of = waiting.pop(name)
            grants.append((bench.now, served.prompt_tokens + served.max_completion_tokens))
            if ending_of == "answered":
                bench.answer(grant, served.prompt_tokens, served.max_completion_tokens)
            elif ending_of == "unknown":
                bench.settle(grant, "unknown")
    for start in range(len(grants)):
        total = 0
        for end in range(start, len(grants)):
            total += grants[end][1]
            window = grants[end][0] - grants[start][0]
            assert total <= 6000 * (1 + window / 60) + 0.01
            assert end - start + 1 <= 20 * (1 + window / 60) + 0.01


# -- permits are leases -------------------------------------------------------------------------------------------------


def test_asking_again_keeps_the_place_and_returns_the_same_permit() -> None:
    bench = ThrottleBench()
    full = bench.grant("full", prompt=5900)
    bench.ask(want("first"), holder="a")
    bench.ask(want("second"), holder="b")
    bench.governor.leave(["first"], bench.now)
    bench.ask(want("first"), holder="a")
    bench.settle(full, "not_sent")
    assert bench.governor.advance(bench.now) == ["first", "second"]
    [grant] = bench.ask(want("first")).grants
    assert bench.ask(want("first")).grants == [grant]
    assert bench.governor.stats(bench.now).granted == 3


def test_nothing_is_granted_to_a_want_that_nobody_waits_for() -> None:
    bench = ThrottleBench()
    full = bench.grant("full", prompt=5900)
    bench.ask(want("away"))
    bench.ask(want("here"))
    bench.governor.leave(["away"], bench.now)
    bench.settle(full, "not_sent")
    assert bench.governor.advance(bench.now) == ["here"]
    bench.now += 9
    assert ids(bench.ask(want("away"))) == ["away"]


def test_a_want_that_is_not_asked_for_again_is_dropped_after_10_s() -> None:
    bench = ThrottleBench()
    bench.grant("full", prompt=5900)
    bench.ask(want("away"))
    bench.governor.leave(["away"], bench.now)
    bench.now += 10.1
    bench.governor.advance(bench.now)
    assert bench.governor.stats(bench.now).waiting == 0


def test_an_expired_permit_counts_as_sent_and_a_late_settlement_puts_the_money_right() -> None:
    bench = ThrottleBench()
    grant = bench.grant("w0")
    assert grant.expires_in_s == 90
    bench.now += 90
    bench.governor.advance(bench.now)
    stats = bench.governor.stats(bench.now)
    assert (stats.in_flight, stats.spent_usd, stats.reserved_usd) == (0, CENT, 0)
    assert stats.buckets["TPM"].settled == 200
    bench.answer(grant)
    bench.answer(grant)
    assert bench.governor.stats(bench.now).spent_usd == Decimal("0.001")


def test_release_writes_off_what_a_dead_holder_held() -> None:
    bench = ThrottleBench()
    bench.grant("w0", holder="dead")
    alive = bench.grant("w1", holder="alive", prompt=5700)
    bench.ask(want("w2"), holder="dead")
    bench.governor.release("dead", bench.now)
    stats = bench.governor.stats(bench.now)
    assert (stats.in_flight, stats.waiting, stats.spent_usd) == (1, 0, CENT)
    bench.settle(alive, "not_sent")


def test_withdrawing_drops_wants_and_gives_permits_back() -> None:
    bench = ThrottleBench()
    bench.grant("w0", prompt=5900)
    bench.ask(want("w1"))
    bench.governor.withdraw("a", ["w0", "w1"], bench.now)
    stats = bench.governor.stats(bench.now)
    assert (stats.in_flight, stats.waiting, stats.spent_usd, stats.buckets["TPM"].credit) == (0, 0, 0, 6000)


# -- money --------------------------------------------------------------------------------------------------------------


def test_the_budget_waits_for_what_is_in_flight_and_refuses_only_then() -> None:
    bench = ThrottleBench(max_cost_usd=0.025)
    first, second = bench.grant("w0"), bench.grant("w1")
    waits = bench.ask(want("w2"))
    assert waits == AcquireReply([], None)
    assert bench.governor.next_ready_in_s(bench.now) is None
    bench.answer(first)  # $0.001 instead of $0.01
    assert bench.governor.advance(bench.now) == ["w2"]
    third = bench.governor.collect(["w2"], bench.now).grants[0]
    bench.settle(second, "unknown")
    bench.settle(third, "unknown")
    refusal = bench.ask(want("w3")).refusal
    assert refusal is not None
    assert refusal.reason == "budget"
    assert bench.governor.stats(bench.now).budget_exhausted
    bench.governor.set_budget(Decimal(1))
    assert ids(bench.ask(want("w3"))) == ["w3"]
    assert not bench.governor.stats(bench.now).budget_exhausted


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
    bench = ThrottleBench()
    bench.answer(bench.grant("w0"))
    bench.governor.restore(Decimal(2))
    bench.governor.restore(Decimal(2))
    assert bench.governor.stats(bench.now).spent_usd == Decimal("2.001")


def test_what_a_permit_of_an_earlier_incarnation_cost_is_said_by_restore_alone() -> None:
    bench = ThrottleBench()
    bench.governor.restore(Decimal("0.7"), provisional=True)
    foreign = Settlement("other-7", "answered", TokenUsage(1, 0, 1), Decimal("0.5"))
    bench.governor.settle(foreign, bench.now)
    assert bench.governor.stats(bench.now).spent_usd == Decimal("0.7")
    bench.governor.restore(Decimal("0.5"))
    assert bench.governor.stats(bench.now).spent_usd == Decimal("0.5")


def test_after_stop_everybody_is_refused() -> None:
    bench = ThrottleBench()
    bench.grant("w0", prompt=5900)
    bench.ask(want("w1"))
    bench.governor.stop("401: Invalid API Key")
    assert bench.governor.advance(bench.now) == ["w1"]
    for name in ("w1", "w2"):
        refusal = bench.ask(want(name)).refusal
        assert refusal is not None
        assert (refusal.reason, refusal.message) == ("refused", "401: Invalid API Key")


# -- statistics ---------------------------------------------------------------------------------------------------------


def test_utilisation_is_what_was_settled_of_what_there_was() -> None:
    bench = ThrottleBench()
    for n in range(30):
        bench.answer(bench.grant(f"w{n}"))
    bench.now += 60  # idle: this minute does not count
    bucket = bench.governor.stats(bench.now).buckets["TPM"]
    assert bucket.settled == 6000
    assert bucket.initial_credit == 6000
    assert bucket.utilisation == pytest.approx(1.0)
    bench.grant("w31")
    assert bench.governor.stats(bench.now).buckets["TPM"].utilisation == pytest.approx(0.5)


def test_statistics_flatten_to_numbers_and_texts() -> None:
    bench = ThrottleBench(requests_per_minute=10)
    bench.answer(bench.grant("w0"))
    stats = bench.governor.stats(bench.now)
    numbers = {name: value for name, _, value in numbers_of(stats)}
    assert numbers["requests_granted_total"] == 1
    assert numbers["bucket_RPM_limit"] == 10
    assert numbers["bucket_TPM_credit"] == 5800
    assert {name: bucket.source for name, bucket in stats.buckets.items()} == {"TPM": "configured", "RPM": "configured"}
    assert (stats.binding, stats.breaker, stats.parked) == (None, "closed", None)
