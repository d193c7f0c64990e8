"""When the API is left alone, and how it is asked again."""

import pytest

from helix_ray.throttle.tier.breaker import Breaker


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(now)
    return breaker


def test_five_failures_in_a_row_open_it() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.failed(0.0)
    assert (breaker.state(0.0), breaker.wait_s(0.0)) == ("closed", 0.0)
    breaker.failed(0.0)
    assert (breaker.state(0.5), breaker.wait_s(0.5)) == ("open", 0.5)
    assert (breaker.state(1.0), breaker.wait_s(1.0)) == ("half_open", 0.0)


def test_half_of_the_last_twenty_open_it() -> None:
    breaker = Breaker()
    for _ in range(9):
        breaker.failed(0.0)
        breaker.succeeded(0.0)
    assert breaker.state(0.0) == "closed"
    breaker.failed(0.0)
    assert breaker.state(0.0) == "open"


def test_fewer_failures_than_that_never_open_it() -> None:
    breaker = Breaker()
    for number in range(1000):
        (breaker.failed if number % 5 in (0, 2) else breaker.succeeded)(0.0)
        assert breaker.state(0.0) == "closed"


def test_half_open_admits_one_and_its_success_closes_it() -> None:
    breaker = opened()
    breaker.sent(1.0)
    assert breaker.wait_s(1.0) > 60
    breaker.succeeded(1.5)
    assert (breaker.state(1.5), breaker.wait_s(1.5)) == ("closed", 0.0)
    for _ in range(4):
        breaker.failed(2.0)
    assert breaker.state(2.0) == "closed", "what was before is forgotten"


def test_probes_come_after_growing_waits_and_those_begin_anew_after_a_success() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(7):
        waits.append(breaker.wait_s(now))
        now += waits[-1]
        breaker.sent(now)
        now += 0.25
        breaker.failed(now)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    now += 30
    breaker.sent(now)
    breaker.succeeded(now)
    for _ in range(5):
        breaker.failed(now)
    assert breaker.wait_s(now) == 1.0


def test_what_was_under_way_when_it_opened_says_nothing_new() -> None:
    breaker = opened(10.0)
    breaker.succeeded(10.1, granted_at=9.0)
    breaker.failed(10.2, granted_at=9.0)
    assert breaker.wait_s(10.2) == pytest.approx(0.8)
    breaker.sent(11.0)
    breaker.failed(11.1, granted_at=9.5)
    breaker.succeeded(11.2, granted_at=9.5)
    assert breaker.state(11.2) == "half_open"
    breaker.succeeded(11.3, granted_at=11.0)
    assert breaker.state(11.3) == "closed"


def test_a_probe_that_says_nothing_leaves_the_place_to_the_next() -> None:
    breaker = opened()
    breaker.sent(1.0)
    breaker.unsent(1.2)
    assert (breaker.state(1.2), breaker.wait_s(1.2)) == ("half_open", 0.0)


def test_a_probe_whose_holder_died_does_not_hold_it_for_ever() -> None:
    breaker = opened()
    breaker.sent(1.0)
    assert breaker.wait_s(1.0 + breaker.wait_s(1.0)) == 0.0
