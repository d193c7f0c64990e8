"""Servers of every law, drawn at random and not configured, against a client that knows their law beforehand."""

import math
from statistics import median

import pytest

from helix_ray.config import ThrottleConfig
from helix_ray.providers.readings import LimitReading
from helix_ray.throttle.governor import Governor
from support.law_world import Drawn, Score, Server, score
from support.throttle_bench import ThrottleBench, want


@pytest.fixture(scope="module")
def scores() -> list[Score]:
    return [score(seed) for seed in range(60)]


def test_nothing_is_lost_under_any_law(scores: list[Score]) -> None:
    assert [each.lost for each in scores] == [0] * len(scores)


def test_most_servers_are_used_as_if_their_law_was_known(scores: list[Score]) -> None:
    times = sorted(each.times_ideal for each in scores)
    assert median(times) <= 1.05
    assert times[int(0.9 * len(times))] <= 1.3


def test_few_answers_cost_a_refusal_once_the_law_is_found(scores: list[Score]) -> None:
    refusals = sorted(each.result.late_refusals for each in scores)
    assert median(refusals) <= 0.05
    assert refusals[int(0.9 * len(refusals))] <= 0.3


def test_a_hidden_limit_of_tokens_is_learned_as_one() -> None:
    hidden = score(5057)
    assert (hidden.drawn.counted, hidden.drawn.headers, hidden.drawn.names) == ("tokens", "none", False)
    assert hidden.times_ideal <= 1.3, "as one of requests: 1.8"


def test_a_limit_of_requests_that_was_taken_for_one_of_tokens_keeps_what_was_admitted() -> None:
    hidden = score(910917)
    assert (hidden.drawn.counted, hidden.drawn.law, hidden.drawn.names) == ("requests", "sliding", False)
    assert hidden.times_ideal <= 1.2, "learned anew from the end of a window: 1.74"


def test_requests_in_flight_are_as_many_after_an_outage_as_before() -> None:
    busy = score(910962)
    assert (busy.drawn.outage, busy.drawn.neighbour) == ("busy", 0.0)
    assert busy.times_ideal <= 1.5, "raised step by step: 1.74"


def test_what_others_take_from_a_limit_without_headers_is_left_to_them() -> None:
    shared = score(5018)
    assert (shared.drawn.headers, shared.drawn.neighbour > 0.4) == ("none", True)
    assert shared.result.late_refusals <= 0.2, "believed for 5 s only: 0.5"


def test_a_window_whose_server_keeps_what_was_reserved_and_not_used() -> None:
    kept = score(77231)
    assert (kept.drawn.law, kept.drawn.counted, kept.drawn.refunds) == ("sliding", "tokens", False)
    assert kept.result.late_refusals <= 0.1, "not learned: 0.75"


def test_more_than_fits_waits_at_the_very_end_of_a_window() -> None:
    server = Server(Drawn.at(5048))
    while server.wait_s(1.0, 0.0) == 0.0:
        server.begin(1.0, 0.0)
    assert server.wait_s(1.0, math.nextafter(server.phase, 0.0)) > 0.0


def test_the_servers_are_drawn_from_all_laws_and_headers() -> None:
    drawn = [Drawn.at(seed) for seed in range(200)]
    assert {each.law for each in drawn} == {"bucket", "fixed", "sliding"}
    assert len({each.headers for each in drawn}) == 6


def test_requests_a_minute_in_headers_are_no_limit_of_the_day() -> None:
    bench = ThrottleBench(tokens_per_minute=10**6, on_daily_limit="stop")
    for used in (1, 2, 500):
        reading = LimitReading(requests_limit=500, requests_remaining=500 - used, requests_window_s=60)
        bench.answer(bench.grant(f"w{used}", prompt=1, completion=1), 1, 1, reading)
    assert bench.ask(want("next")).refusal is None
    assert set(bench.governor.stats(bench.now).buckets) == {"TPM", "RPM"}


def test_a_limit_that_was_named_too_low_is_raised() -> None:
    bench = ThrottleBench(tokens_per_minute=10**6)
    bench.refuse(bench.grant("w0", prompt=1, completion=1), kind="RPM", limit=10.0, used=10.0, requested=1, retry_after_s=6.0)
    served = 0
    while bench.now < 700:
        names = [f"{bench.now}-{number}" for number in range(32)]
        bench.governor.ask("a", [want(name, 1, 1) for name in names], bench.now)
        for grant in bench.governor.collect(bench.governor.advance(bench.now), bench.now).grants:
            bench.answer(grant, 1, 1)
            served += 1
        bench.governor.withdraw("a", names, bench.now)
        bench.now += 1.0
    assert served >= 1500, "10 a minute would have been 100"


def test_the_key_that_does_nothing_any_more_is_accepted_and_logged(logged: list[str]) -> None:
    Governor(ThrottleConfig(max_cost_usd=1.0), 60.0, "e")
    assert logged == []
    Governor(ThrottleConfig(max_cost_usd=1.0, adaptive_concurrency=False), 60.0, "e")
    assert logged == ["throttle.adaptive_concurrency"]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    keys: list[str] = []
    monkeypatch.setattr("helix_ray.throttle.governor.log.info", lambda event, **facts: keys.append(facts["key"]))
    return keys
