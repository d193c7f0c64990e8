"""A day's limit: the run rests, asks now and then, and goes on soon after there is room again, or stops at once."""

import pytest

from helix_ray.providers.readings import LimitReading
from helix_ray.throttle.messages import Permit
from helix_ray.throttle.tier.park import Park
from support.throttle_desk import Desk, ids, want

OUTAGE_S, RETRY_AFTER_S = 100.0, 432.0


def refuse_today(desk: Desk, grant: Permit, wait_s: float | None = RETRY_AFTER_S, used: float = 200_000.0) -> None:
    desk.refuse(grant, kind="TPD", limit=200_000.0, used=used, requested=200, retry_after_s=wait_s)


def live_through(desk: Desk, until: float, wait_s: float | None, back_at: float) -> tuple[list[float], float | None]:
    """Times of the refused calls from now on, and when the first one was served; a refusal takes 0.05 s."""
    wasted, number = [], 0
    desk.ask(*(want(f"n{n}") for n in range(400)))
    while desk.now < until:
        decided = desk.governor.advance(desk.now)
        grants = desk.governor.collect(decided, desk.now).grants
        assert len(grants) <= 1, "nothing but a lone probe"
        for grant in grants:
            number += 1
            desk.now += 0.05
            if desk.now >= back_at:
                desk.answer(grant)
                return wasted, desk.now
            wasted.append(desk.now)
            refuse_today(desk, grant, wait_s)
        ready = desk.governor.next_ready_in_s(desk.now)
        assert ready is not None
        desk.now += max(ready, 1e-6)
    return wasted, None


@pytest.mark.parametrize("wait_s", [None, 0.0, 1.0, 30.0, RETRY_AFTER_S, 86_400.0])
@pytest.mark.parametrize("outage_s", [20.0, OUTAGE_S, 1000.0])
def test_the_run_goes_on_soon_after_the_quota_is_back_whatever_retry_after_says(wait_s: float | None, outage_s: float) -> None:
    desk = Desk(tokens_per_minute=10**6)
    began = desk.now
    refuse_today(desk, desk.grant("w0"), wait_s)
    stats = desk.governor.stats(desk.now)
    assert (stats.parked, stats.gate_closed_for_s, stats.probing) == ("TPD", 0, True)
    back_at = began + outage_s
    wasted, served_at = live_through(desk, back_at + 60, wait_s, back_at)
    assert served_at is not None
    assert served_at <= back_at + 46
    assert len(wasted) <= 4 + outage_s / 40
    assert desk.governor.stats(desk.now).parked is None


def test_after_the_quota_is_back_requests_in_flight_double() -> None:
    desk = Desk(tokens_per_minute=10**6)
    refuse_today(desk, desk.grant("w0"))
    _, served_at = live_through(desk, desk.now + 300, RETRY_AFTER_S, desk.now + OUTAGE_S)
    assert served_at is not None
    waves = []
    while sum(waves) < 300:
        grants = desk.governor.collect(desk.governor.advance(desk.now), desk.now).grants
        waves.append(len(grants))
        for grant in grants:
            desk.now += 0.01
            desk.answer(grant)
    assert waves[0] == 2
    assert len(waves) <= 4, "the whole line soon goes at once"


def test_a_burst_of_refusals_is_one_refusal() -> None:
    desk = Desk(tokens_per_minute=10**6)
    for grant in [desk.grant(f"w{n}") for n in range(8)]:
        desk.now += 0.01
        refuse_today(desk, grant)
    assert desk.governor.stats(desk.now).next_probe_in_s == pytest.approx(10, abs=0.1)


def test_an_outage_that_comes_back_at_once_does_not_begin_with_short_waits_again() -> None:
    park = Park()
    park.refused("TPD", None, 0.0, 0.0)
    for at in (10.0, 30.0):
        park.refused("TPD", None, at, at)
    assert park.next_probe_in_s(30.0) == 40
    park.passed(70.0, True, 70.0)
    assert park.limit is None
    park.refused("TPD", None, 71.0, 72.0)
    assert park.next_probe_in_s(72.0) == 40
    assert park.since == 0.0
    park.passed(112.0, True, 112.0)
    park.refused("TPD", None, 200.0, 200.0)
    assert (park.next_probe_in_s(200.0), park.since) == (10, 200)


def test_a_limit_of_the_minute_never_parks() -> None:
    desk = Desk()
    desk.refuse(desk.grant("w0"), kind="TPM", limit=6000.0, used=6000.0, requested=200, retry_after_s=59.0)
    stats = desk.governor.stats(desk.now)
    assert (stats.parked, stats.gate_closed_for_s) == (None, 59)


def test_a_daily_limit_that_headers_show_to_be_used_up_is_not_run_into() -> None:
    desk = Desk(tokens_per_minute=None)
    desk.answer(desk.grant("w0"), reading=LimitReading(requests_limit=1000, requests_remaining=0))
    assert ids(desk.ask(want("w1"))) == []
    stats = desk.governor.stats(desk.now)
    assert (stats.parked, stats.http_429) == ("RPD", 0)
    assert desk.granted(10.1, ["w1"]) == ["w1"], "a probe"
    [probe] = desk.governor.collect(["w1"], desk.now).grants
    desk.answer(probe, reading=LimitReading(requests_limit=1000, requests_remaining=900))
    assert desk.governor.stats(desk.now).buckets["RPD"].credit == pytest.approx(900, abs=2)
    assert len(ids(desk.ask(*(want(f"n{n}", 1, 1) for n in range(4))))) == 2


def test_a_large_daily_limit_paces_and_does_not_park() -> None:
    desk = Desk(requests_per_day=86_400)
    desk.governor.limiters["on_demand"].limits["RPD"].overrule(0, desk.now)
    for n in range(30):
        desk.answer(desk.grant(f"w{n}", prompt=1, completion=1), 1, 1)
    assert desk.governor.stats(desk.now).parked is None


def test_a_configured_daily_limit_is_kept_and_not_tested_by_asking() -> None:
    desk = Desk(tokens_per_day=86_400)
    first = desk.ask(*(want(f"w{n}", 2000, 160) for n in range(2)))
    for grant in first.grants:
        desk.answer(grant, 2000, 160)
    desk.now += 300
    for n in range(60):
        desk.now += 30
        for grant in desk.ask(want(f"n{n}", 2000, 160)).grants:
            desk.answer(grant, 2000, 160)
    desk.ask(want("last", 2000, 160))
    assert desk.governor.stats(desk.now).parked == "TPD"
    assert desk.governor.stats(desk.now).buckets["TPD"].settled <= 86_400 + desk.now - 100
    ready = desk.governor.next_ready_in_s(desk.now)
    assert ready is not None
    assert ready > 45
    assert len(desk.granted(ready + 0.01, ["last", *(f"n{n}" for n in range(60))])) == 1


def test_on_daily_limit_stop_refuses_everybody_and_says_which_limit_and_until_when() -> None:
    desk = Desk(tokens_per_minute=10**6, on_daily_limit="stop")
    first, second = desk.grant("w0"), desk.grant("w1")
    refuse_today(desk, first, used=199_900.0)
    for name in ("n0", "n1"):
        refusal = desk.ask(want(name)).refusal
        assert refusal is not None
        assert refusal.reason == "daily"
    stats = desk.governor.stats(desk.now)
    assert stats.daily_stop == refusal.message
    assert stats.refused is None
    assert "TPD" in refusal.message
    assert "of 200000" in refusal.message
    assert "about 2 min" in refusal.message
    desk.answer(second)
    assert desk.governor.stats(desk.now).answered == 1


def test_on_daily_limit_stop_does_not_end_a_run_that_a_daily_limit_only_slows_down() -> None:
    desk = Desk(tokens_per_minute=10**6, on_daily_limit="stop")
    desk.refuse(desk.grant("w0"), kind="RPD", limit=86_400.0, used=86_400.0, requested=1, retry_after_s=1.0)
    assert desk.ask(want("w1")).refusal is None
    assert desk.granted(1.1, ["w1"]) == ["w1"]
