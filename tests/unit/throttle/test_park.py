"""A day's limit: the run rests, asks now and then, and goes on soon after there is room again, or stops at once."""

import pytest

from helix_ray.providers.readings import LimitReading
from helix_ray.throttle.door import Door
from helix_ray.throttle.messages import Permit
from support.throttle_bench import ThrottleBench, ids, want

OUTAGE_S, RETRY_AFTER_S = 100.0, 432.0


def refuse_today(bench: ThrottleBench, grant: Permit, wait_s: float | None = RETRY_AFTER_S, used: float = 200_000.0) -> None:
    bench.refuse(grant, kind="TPD", limit=200_000.0, used=used, requested=200, retry_after_s=wait_s)


def live_through(bench: ThrottleBench, until: float, wait_s: float | None, back_at: float) -> tuple[list[float], float | None]:
    """Times of the refused calls from now on, and when the first one was served; a refusal takes 0.05 s."""
    wasted, number = [], 0
    bench.ask(*(want(f"n{n}") for n in range(400)))
    while bench.now < until:
        decided = bench.governor.advance(bench.now)
        grants = bench.governor.collect(decided, bench.now).grants
        assert len(grants) <= 1, "nothing but a lone probe"
        for grant in grants:
            number += 1
            bench.now += 0.05
            if bench.now >= back_at:
                bench.answer(grant)
                return wasted, bench.now
            wasted.append(bench.now)
            refuse_today(bench, grant, wait_s)
        bench.governor.advance(bench.now)
        ready = bench.governor.next_ready_in_s(bench.now)
        assert ready is not None
        bench.now += max(ready, 1e-6)
    return wasted, None


@pytest.mark.parametrize("wait_s", [None, 0.0, 1.0, 30.0, RETRY_AFTER_S, 86_400.0])
@pytest.mark.parametrize("outage_s", [20.0, OUTAGE_S, 1000.0])
def test_the_run_goes_on_soon_after_the_quota_is_back_whatever_retry_after_says(wait_s: float | None, outage_s: float) -> None:
    bench = ThrottleBench(tokens_per_minute=10**6)
    began = bench.now
    refuse_today(bench, bench.grant("w0"), wait_s)
    stats = bench.governor.stats(bench.now)
    assert (stats.parked, stats.gate_closed_for_s, stats.probing) == ("TPD", 0, True)
    back_at = began + outage_s
    wasted, served_at = live_through(bench, back_at + 60, wait_s, back_at)
    assert served_at is not None
    assert served_at <= back_at + 46
    assert len(wasted) <= 4 + outage_s / 40
    assert bench.governor.stats(bench.now).parked is None


def test_after_the_quota_is_back_requests_in_flight_double() -> None:
    bench = ThrottleBench(tokens_per_minute=10**6)
    refuse_today(bench, bench.grant("w0"))
    _, served_at = live_through(bench, bench.now + 300, RETRY_AFTER_S, bench.now + OUTAGE_S)
    assert served_at is not None
    waves = []
    while sum(waves) < 300:
        grants = bench.governor.collect(bench.governor.advance(bench.now), bench.now).grants
        waves.append(len(grants))
        for grant in grants:
            bench.now += 0.01
            bench.answer(grant)
    assert waves[0] == 2
    assert len(waves) <= 4, "the whole line soon goes at once"


def test_a_burst_of_refusals_is_one_refusal() -> None:
    bench = ThrottleBench(tokens_per_minute=10**6)
    for grant in [bench.grant(f"w{n}") for n in range(8)]:
        bench.now += 0.01
        refuse_today(bench, grant)
    assert bench.governor.stats(bench.now).next_probe_in_s == pytest.approx(10, abs=0.1)


def test_an_outage_that_comes_back_at_once_does_not_begin_with_short_waits_again() -> None:
    door = Door()
    door.refused("TPD", True, None, 0.0, 0.0)
    for at in (10.0, 30.0):
        door.refused("TPD", True, None, at, at)
    assert door.wait_s(None, 30.0) == 40
    door.answered(70.0, True, 70.0)
    assert door.reason is None
    door.refused("TPD", True, None, 71.0, 72.0)
    assert door.wait_s(None, 72.0) == 40
    assert door.since == 0.0
    door.answered(112.5, True, 112.5)
    door.refused("TPD", True, None, 200.0, 200.0)
    assert (door.wait_s(None, 200.0), door.since) == (10, 200)


def test_a_limit_of_the_minute_never_parks() -> None:
    bench = ThrottleBench()
    bench.refuse(bench.grant("w0"), kind="TPM", limit=6000.0, used=6000.0, requested=200, retry_after_s=59.0)
    stats = bench.governor.stats(bench.now)
    assert (stats.parked, stats.gate_closed_for_s) == (None, 59)


def test_a_daily_limit_that_headers_show_to_be_used_up_is_not_run_into() -> None:
    bench = ThrottleBench(tokens_per_minute=None)
    bench.answer(bench.grant("w0"), reading=LimitReading(requests_window_s=86_400, requests_limit=1000, requests_remaining=0))
    assert ids(bench.ask(want("w1"))) == []
    stats = bench.governor.stats(bench.now)
    assert (stats.parked, stats.http_429) == ("RPD", 0)
    assert bench.granted(10.1, ["w1"]) == ["w1"], "a probe"
    [probe] = bench.governor.collect(["w1"], bench.now).grants
    bench.answer(probe, reading=LimitReading(requests_window_s=86_400, requests_limit=1000, requests_remaining=900))
    assert bench.governor.stats(bench.now).buckets["RPD"].credit == pytest.approx(900, abs=2)
    assert len(ids(bench.ask(*(want(f"n{n}", 1, 1) for n in range(4))))) == 2


def test_a_large_daily_limit_paces_and_does_not_park() -> None:
    bench = ThrottleBench(requests_per_day=86_400)
    bench.governor.limiters["on_demand"].limits["RPD"].overrule(0, bench.now)
    for n in range(30):
        bench.answer(bench.grant(f"w{n}", prompt=1, completion=1), 1, 1)
    assert bench.governor.stats(bench.now).parked is None


def test_a_configured_daily_limit_is_kept_and_not_tested_by_asking() -> None:
    bench = ThrottleBench(tokens_per_day=86_400)
    first = bench.ask(*(want(f"w{n}", 2000, 160) for n in range(2)))
    for grant in first.grants:
        bench.answer(grant, 2000, 160)
    bench.now += 300
    for n in range(60):
        bench.now += 30
        for grant in bench.ask(want(f"n{n}", 2000, 160)).grants:
            bench.answer(grant, 2000, 160)
    bench.ask(want("last", 2000, 160))
    assert bench.governor.stats(bench.now).parked == "TPD"
    assert bench.governor.stats(bench.now).buckets["TPD"].settled <= 86_400 + bench.now - 100
    ready = bench.governor.next_ready_in_s(bench.now)
    assert ready is not None
    assert ready > 45
    assert len(bench.granted(ready + 0.01, ["last", *(f"n{n}" for n in range(60))])) == 1


def test_on_daily_limit_stop_refuses_everybody_and_says_which_limit_and_until_when() -> None:
    bench = ThrottleBench(tokens_per_minute=10**6, on_daily_limit="stop")
    first, second = bench.grant("w0"), bench.grant("w1")
    refuse_today(bench, first, used=199_900.0)
    for name in ("n0", "n1"):
        refusal = bench.ask(want(name)).refusal
        assert refusal is not None
        assert refusal.reason == "daily"
    stats = bench.governor.stats(bench.now)
    assert stats.daily_stop == refusal.message
    assert stats.refused is None
    assert "TPD" in refusal.message
    assert "of 200000" in refusal.message
    assert "about 2 min" in refusal.message
    bench.answer(second)
    assert bench.governor.stats(bench.now).answered == 1


def test_on_daily_limit_stop_does_not_end_a_run_that_a_daily_limit_only_slows_down() -> None:
    bench = ThrottleBench(tokens_per_minute=10**6, on_daily_limit="stop")
    bench.refuse(bench.grant("w0"), kind="RPD", limit=86_400.0, used=86_400.0, requested=1, retry_after_s=1.0)
    assert bench.ask(want("w1")).refusal is None
    assert bench.granted(1.1, ["w1"]) == ["w1"]
