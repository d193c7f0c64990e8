"""Service tiers, a past to begin from, and what else than a bucket holds a request back."""

from decimal import Decimal

import pytest

from helix_ray.config import ThrottleConfig
from helix_ray.providers.readings import LimitReading
from helix_ray.records import PastUse
from helix_ray.records.calls import RequestedTier
from helix_ray.throttle.governor import Governor
from helix_ray.throttle.messages import Permit, PermitRequest
from helix_ray.throttle.requests_in_flight import RequestsInFlight
from support.throttle_bench import CENT, ThrottleBench, ids, want


def tiered(name: str, tier: RequestedTier, tokens: int = 200, *, retry: bool = False) -> PermitRequest:
    return PermitRequest(name, tokens // 2, tokens - tokens // 2, CENT, tier, retry)


# -- tiers --------------------------------------------------------------------------------------------------------------


def test_auto_takes_on_demand_while_it_has_room_and_flex_then() -> None:
    bench = ThrottleBench()
    reply = bench.ask(*(tiered(f"w{n}", "auto", 2000) for n in range(8)))
    assert [grant.service_tier for grant in reply.grants] == ["on_demand"] * 3 + ["flex"] * 3
    bench.answer(reply.grants[4], 1000, 1000)
    assert bench.granted(19.9, ["w6"]) == []
    assert bench.granted(0.2, ["w6"]) == ["w6"]
    assert bench.governor.collect(["w6"], bench.now).grants[0].service_tier == "flex"


def test_a_tier_without_room_does_not_hold_up_the_other() -> None:
    bench = ThrottleBench()
    bench.grant("full", prompt=5900)
    reply = bench.ask(tiered("d0", "on_demand"), tiered("f0", "flex"), *(tiered(f"d{n}", "on_demand") for n in range(1, 40)))
    assert ids(reply) == ["f0"]
    assert ids(bench.ask(tiered("f1", "flex"))) == ["f1"], "behind 40 that wait for the other tier"


def test_each_tier_has_its_own_limits_and_its_own_probe() -> None:
    bench = ThrottleBench(tokens_per_minute=None)
    reply = bench.ask(*(tiered(f"d{n}", "on_demand") for n in range(3)), *(tiered(f"f{n}", "flex") for n in range(3)))
    assert ids(reply) == ["d0", "f0"]
    bench.answer(reply.grants[1], reading=LimitReading(tokens_limit=10_000, tokens_remaining=9_800))
    assert bench.governor.advance(bench.now) == ["f1", "f2"]
    bench.answer(reply.grants[0], reading=LimitReading(tokens_limit=1_000, tokens_remaining=800))
    assert bench.governor.advance(bench.now) == ["d1", "d2"]
    buckets = bench.governor.stats(bench.now).buckets
    assert {name: bucket.limit for name, bucket in buckets.items()} == {"TPM": 1_000, "TPM flex": 10_000}


def test_a_tier_that_nobody_uses_is_not_shown() -> None:
    bench = ThrottleBench()
    bench.grant("w0")
    assert set(bench.governor.stats(bench.now).buckets) == {"TPM"}


# -- the six limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "limit", "name"),
    [
        ("requests_per_minute", 4, "RPM"),
        ("requests_per_day", 4, "RPD"),
        ("tokens_per_day", 800, "TPD"),
        ("input_tokens_per_minute", 400, "ITPM"),
        ("output_tokens_per_minute", 400, "OTPM"),
    ],
)
def test_every_limit_can_be_configured(key: str, limit: int, name: str) -> None:
    bench = ThrottleBench(**{key: limit})
    assert ids(bench.ask(*(want(f"w{n}") for n in range(6)))) == ["w0", "w1", "w2", "w3"]
    bucket = bench.governor.stats(bench.now).buckets[name]
    assert (bucket.limit, bucket.source, bucket.credit) == (limit, "configured", 0)


def test_the_first_request_of_all_goes_alone_even_with_every_limit_configured() -> None:
    """An invalid key is to be refused once."""
    governor = Governor(ThrottleConfig(tokens_per_minute=6000, max_cost_usd=1.0), 60.0, "e")
    governor.restore(Decimal(0))
    governor.ask("a", [want("w0"), want("w1")], 0.0)
    assert governor.advance(0.0) == ["w0"]


# -- the past -----------------------------------------------------------------------------------------------------------


def test_an_unknown_past_begins_with_empty_buckets() -> None:
    bench = ThrottleBench(past=None, requests_per_minute=6)
    buckets = bench.governor.stats(bench.now).buckets
    assert (buckets["TPM"].credit, buckets["RPM"].credit) == (0, 0)
    assert ids(bench.ask(want("w0"))) == []
    assert bench.granted(9.9, ["w0"]) == []
    assert bench.granted(0.2, ["w0"]) == ["w0"]


@pytest.mark.parametrize("safety", [1.0, 0.5])
def test_after_an_unknown_past_the_first_header_is_believed(safety: float) -> None:
    bench = ThrottleBench(past=None, safety_factor=safety)
    bench.ask(want("w0"))
    bench.granted(6, ["w0"])
    [grant] = bench.governor.collect(["w0"], bench.now).grants
    bench.answer(grant, reading=LimitReading(tokens_limit=6000, tokens_remaining=5800))
    assert bench.governor.stats(bench.now).buckets["TPM"].credit == pytest.approx(6000 * safety - 200, abs=2)


def test_a_known_past_leaves_what_has_not_flowed_back() -> None:
    past = [PastUse(30.0, 1, 2000, 1000), PastUse(10.0, 2, 800, 200), PastUse(7200.0, 50, 9000, 1000), PastUse(1.0, 9, 900, 9, "flex")]
    bench = ThrottleBench(past=past, tokens_per_day=20_000, requests_per_minute=60)
    buckets = bench.governor.stats(bench.now).buckets
    assert buckets["TPM"].credit == pytest.approx(6000 - 1000)
    assert buckets["RPM"].credit == 60
    assert buckets["TPD"].credit == pytest.approx(20_000 - (10_000 - 7170 / 86_400 * 20_000) - 4000 + 30 / 86_400 * 20_000, abs=10)


def test_limits_that_a_predecessor_found_are_kept_with_what_was_taken_from_them() -> None:
    governor = Governor(ThrottleConfig(max_cost_usd=1.0), 60.0, "e")
    governor.restore(Decimal(0), [PastUse(30.0, 40, 100, 100)], 100.0, limits={"RPM": 60.0, "TPM flex": 9000.0})
    governor.ask("a", [want("w0")], 100.0)
    governor.advance(100.0)
    assert governor.stats(100.0).buckets["RPM"].credit == pytest.approx(60 - 10 - 1)
    assert governor.limiters["flex"].limits["TPM"].limit == 9000.0


def test_a_past_that_is_told_again_counts_once() -> None:
    bench = ThrottleBench(past=[PastUse(0.0, 1, 3000, 0)])
    bench.governor.restore(Decimal(1), None, bench.now)
    stats = bench.governor.stats(bench.now)
    assert (stats.buckets["TPM"].credit, stats.spent_usd) == (3000, 1)


# -- neither buckets nor time ---------------------------------------------------------------------------------------------


def test_no_more_are_in_flight_than_the_api_bears() -> None:
    bench = ThrottleBench(tokens_per_minute=10**6, adaptive_concurrency=True)
    bench.governor.limiters["on_demand"].requests_in_flight = RequestsInFlight(60)
    first = bench.ask(*(want(f"w{n}", 1, 1) for n in range(60)))
    assert (len(first.grants), first.concurrency) == (60, None)
    for number, grant in enumerate(first.grants):
        bench.now += 0.01
        if number % 3:
            bench.answer(grant)
        else:
            bench.settle(grant, "rejected", trouble="capacity")
    bench.ask(*(want(f"v{n}", 1, 1) for n in range(50)))
    stats = bench.governor.stats(bench.now)
    assert (stats.concurrency, stats.in_flight, stats.waiting) == (45, 45, 5)


def test_failures_open_the_breaker_and_one_request_at_a_time_asks_whether_it_is_over() -> None:
    bench = ThrottleBench(tokens_per_minute=10**6)
    grants = [bench.grant(f"w{n}") for n in range(6)]
    for grant in grants:
        bench.settle(grant, "rejected", trouble="failure")
    assert bench.governor.stats(bench.now).breaker == "open"
    names = [f"n{n}" for n in range(5)]
    bench.ask(*(want(name) for name in names))
    assert bench.granted(30, names) == ["n0"]
    assert bench.governor.stats(bench.now).binding == "breaker"
    bench.settle(grant_of(bench, "n0"), "rejected", trouble="failure")
    assert bench.granted(1.9, names) == []
    assert bench.granted(0.2, names) == ["n1"]
    bench.settle(grant_of(bench, "n1"), "rejected")  # a 4xx says nothing about it
    assert bench.governor.advance(bench.now) == ["n2"]
    bench.answer(grant_of(bench, "n2"))
    assert bench.governor.advance(bench.now) == ["n3", "n4"]
    assert bench.governor.stats(bench.now).breaker == "closed"


def test_retries_beyond_their_share_wait_and_others_pass_them() -> None:
    bench = ThrottleBench(tokens_per_minute=10**6, retry_share=0.1)
    reply = bench.ask(*(tiered(f"r{n}", "on_demand", retry=True) for n in range(20)))
    assert len(reply.grants) == 11, "10, and the share of those"
    bench.now += 0.1
    assert ids(bench.ask(want("fresh"))) == ["fresh"]
    assert bench.governor.stats(bench.now).waiting == 9
    ready = bench.governor.next_ready_in_s(bench.now)
    assert ready is not None
    bench.now += 2
    bench.governor.advance(bench.now)
    assert bench.governor.stats(bench.now).binding == "retries"


def test_nothing_is_granted_beyond_what_is_authorised() -> None:
    bench = ThrottleBench(max_cost_usd=1.0)
    bench.governor.authorise(Decimal(0))
    assert ids(bench.ask(want("w0"), want("w1"))) == []
    total = bench.governor.to_authorise()
    assert total == Decimal("0.32")
    bench.governor.authorise(Decimal("0.01"))
    assert bench.governor.advance(bench.now) == ["w0"]
    bench.now += 5
    stats = bench.governor.stats(bench.now)
    assert (stats.binding, stats.authorised_usd) == ("budget", Decimal("0.01"))
    bench.governor.authorise(Decimal("0.33"))
    assert bench.governor.advance(bench.now) == ["w1"]
    assert bench.governor.to_authorise() is None


def grant_of(bench: ThrottleBench, name: str) -> Permit:
    [grant] = bench.governor.collect([name], bench.now).grants
    return grant
