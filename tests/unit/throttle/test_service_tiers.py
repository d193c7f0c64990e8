"""Service tiers, a past to begin from, and what else than a bucket holds a request back."""

from decimal import Decimal

import pytest

from helix_ray.config import ThrottleConfig
from helix_ray.providers.readings import LimitReading
from helix_ray.records import PastUse
from helix_ray.records.calls import RequestedTier
from helix_ray.throttle.governor import Governor
from helix_ray.throttle.messages import Permit, PermitRequest
from support.throttle_desk import CENT, Desk, ids, want


def tiered(name: str, tier: RequestedTier, tokens: int = 200, *, retry: bool = False) -> PermitRequest:
    return PermitRequest(name, tokens // 2, tokens - tokens // 2, CENT, tier, retry)


# -- tiers --------------------------------------------------------------------------------------------------------------


def test_auto_takes_on_demand_while_it_has_room_and_flex_then() -> None:
    desk = Desk()
    reply = desk.ask(*(tiered(f"w{n}", "auto", 2000) for n in range(8)))
    assert [grant.service_tier for grant in reply.grants] == ["on_demand"] * 3 + ["flex"] * 3
    desk.answer(reply.grants[4], 1000, 1000)
    assert desk.granted(19.9, ["w6"]) == []
    assert desk.granted(0.2, ["w6"]) == ["w6"]
    assert desk.governor.collect(["w6"], desk.now).grants[0].service_tier == "flex"


def test_a_tier_without_room_does_not_hold_up_the_other() -> None:
    desk = Desk()
    desk.grant("full", prompt=5900)
    reply = desk.ask(tiered("d0", "on_demand"), tiered("f0", "flex"), *(tiered(f"d{n}", "on_demand") for n in range(1, 40)))
    assert ids(reply) == ["f0"]
    assert ids(desk.ask(tiered("f1", "flex"))) == ["f1"], "behind 40 that wait for the other tier"


def test_each_tier_has_its_own_limits_and_its_own_probe() -> None:
    desk = Desk(tokens_per_minute=None)
    reply = desk.ask(*(tiered(f"d{n}", "on_demand") for n in range(3)), *(tiered(f"f{n}", "flex") for n in range(3)))
    assert ids(reply) == ["d0", "f0"]
    desk.answer(reply.grants[1], reading=LimitReading(tokens_limit=10_000, tokens_remaining=9_800))
    assert desk.governor.advance(desk.now) == ["f1", "f2"]
    desk.answer(reply.grants[0], reading=LimitReading(tokens_limit=1_000, tokens_remaining=800))
    assert desk.governor.advance(desk.now) == ["d1", "d2"]
    buckets = desk.governor.stats(desk.now).buckets
    assert {name: bucket.limit for name, bucket in buckets.items()} == {"TPM": 1_000, "TPM flex": 10_000}


def test_a_tier_that_nobody_uses_is_not_shown() -> None:
    desk = Desk()
    desk.grant("w0")
    assert set(desk.governor.stats(desk.now).buckets) == {"TPM"}


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
    desk = Desk(**{key: limit})
    assert ids(desk.ask(*(want(f"w{n}") for n in range(6)))) == ["w0", "w1", "w2", "w3"]
    bucket = desk.governor.stats(desk.now).buckets[name]
    assert (bucket.limit, bucket.source, bucket.credit) == (limit, "configured", 0)


def test_the_first_request_of_all_goes_alone_even_with_every_limit_configured() -> None:
    """An invalid key is to be refused once."""
    governor = Governor(ThrottleConfig(tokens_per_minute=6000, max_cost_usd=1.0), 60.0, "e")
    governor.restore(Decimal(0))
    governor.ask("a", [want("w0"), want("w1")], 0.0)
    assert governor.advance(0.0) == ["w0"]


# -- the past -----------------------------------------------------------------------------------------------------------


def test_an_unknown_past_begins_with_empty_buckets() -> None:
    desk = Desk(past=None, requests_per_minute=6)
    buckets = desk.governor.stats(desk.now).buckets
    assert (buckets["TPM"].credit, buckets["RPM"].credit) == (0, 0)
    assert ids(desk.ask(want("w0"))) == []
    assert desk.granted(9.9, ["w0"]) == []
    assert desk.granted(0.2, ["w0"]) == ["w0"]


@pytest.mark.parametrize("safety", [1.0, 0.5])
def test_after_an_unknown_past_the_first_header_is_believed(safety: float) -> None:
    desk = Desk(past=None, safety_factor=safety)
    desk.ask(want("w0"))
    desk.granted(6, ["w0"])
    [grant] = desk.governor.collect(["w0"], desk.now).grants
    desk.answer(grant, reading=LimitReading(tokens_limit=6000, tokens_remaining=5800))
    assert desk.governor.stats(desk.now).buckets["TPM"].credit == pytest.approx(6000 * safety - 200, abs=2)


def test_a_known_past_leaves_what_has_not_flowed_back() -> None:
    past = [PastUse(30.0, 1, 2000, 1000), PastUse(10.0, 2, 800, 200), PastUse(7200.0, 50, 9000, 1000), PastUse(1.0, 9, 900, 9, "flex")]
    desk = Desk(past=past, tokens_per_day=20_000, requests_per_minute=60)
    buckets = desk.governor.stats(desk.now).buckets
    assert buckets["TPM"].credit == pytest.approx(6000 - 1000)
    assert buckets["RPM"].credit == 60
    assert buckets["TPD"].credit == pytest.approx(20_000 - (10_000 - 7170 / 86_400 * 20_000) - 4000 + 30 / 86_400 * 20_000, abs=10)


def test_a_past_that_is_told_again_counts_once() -> None:
    desk = Desk(past=[PastUse(0.0, 1, 3000, 0)])
    desk.governor.restore(Decimal(1), None, desk.now)
    stats = desk.governor.stats(desk.now)
    assert (stats.buckets["TPM"].credit, stats.spent_usd) == (3000, 1)


# -- neither buckets nor time ---------------------------------------------------------------------------------------------


def test_no_more_are_in_flight_than_the_api_bears() -> None:
    desk = Desk(tokens_per_minute=10**6, adaptive_concurrency=True)
    first = desk.ask(*(want(f"w{n}", 1, 1) for n in range(60)))
    assert first.concurrency == len(first.grants) < 60
    desk.now += 5
    looked = desk.governor.stats(desk.now)
    assert (looked.binding, looked.concurrency) == (None, None), "a start says nothing about the API"
    desk.settle(first.grants[0], "not_sent")
    assert len(desk.governor.advance(desk.now)) == 1
    for grant in first.grants[1:]:
        desk.now += 0.5
        desk.settle(grant, "rejected", trouble="overload")
    assert desk.governor.stats(desk.now).concurrency == 1


def test_without_adaptive_concurrency_nothing_is_bounded() -> None:
    desk = Desk(tokens_per_minute=10**6)
    reply = desk.ask(*(want(f"w{n}", 1, 1) for n in range(60)))
    assert (len(reply.grants), reply.concurrency) == (60, None)


def test_failures_open_the_breaker_and_one_request_at_a_time_asks_whether_it_is_over() -> None:
    desk = Desk(tokens_per_minute=10**6)
    grants = [desk.grant(f"w{n}") for n in range(6)]
    for grant in grants:
        desk.settle(grant, "rejected", trouble="failure")
    assert desk.governor.stats(desk.now).breaker == "open"
    names = [f"n{n}" for n in range(5)]
    desk.ask(*(want(name) for name in names))
    assert desk.granted(30, names) == ["n0"]
    assert desk.governor.stats(desk.now).binding == "breaker"
    desk.settle(grant_of(desk, "n0"), "rejected", trouble="failure")
    assert desk.granted(1.9, names) == []
    assert desk.granted(0.2, names) == ["n1"]
    desk.settle(grant_of(desk, "n1"), "rejected")  # a 4xx says nothing about it
    assert desk.governor.advance(desk.now) == ["n2"]
    desk.answer(grant_of(desk, "n2"))
    assert desk.governor.advance(desk.now) == ["n3", "n4"]
    assert desk.governor.stats(desk.now).breaker == "closed"


def test_retries_beyond_their_share_wait_and_others_pass_them() -> None:
    desk = Desk(tokens_per_minute=10**6, retry_share=0.1)
    reply = desk.ask(*(tiered(f"r{n}", "on_demand", retry=True) for n in range(20)))
    assert len(reply.grants) == 11, "10, and the share of those"
    desk.now += 0.1
    assert ids(desk.ask(want("fresh"))) == ["fresh"]
    assert desk.governor.stats(desk.now).waiting == 9
    ready = desk.governor.next_ready_in_s(desk.now)
    assert ready is not None
    desk.now += 2
    desk.governor.advance(desk.now)
    assert desk.governor.stats(desk.now).binding == "retries"


def test_nothing_is_granted_beyond_what_is_authorised() -> None:
    desk = Desk(max_cost_usd=1.0)
    desk.governor.authorise(Decimal(0))
    assert ids(desk.ask(want("w0"), want("w1"))) == []
    total = desk.governor.to_authorise()
    assert total == Decimal("0.32")
    desk.governor.authorise(Decimal("0.01"))
    assert desk.governor.advance(desk.now) == ["w0"]
    desk.now += 5
    stats = desk.governor.stats(desk.now)
    assert (stats.binding, stats.authorised_usd) == ("budget", Decimal("0.01"))
    desk.governor.authorise(Decimal("0.33"))
    assert desk.governor.advance(desk.now) == ["w1"]
    assert desk.governor.to_authorise() is None


def grant_of(desk: Desk, name: str) -> Permit:
    [grant] = desk.governor.collect([name], desk.now).grants
    return grant
