"""When the API is left alone, and how it is tried again."""

import pytest

from helix_ray.throttle.door import Door


def failing(now: float = 0.0) -> Door:
    door = Door()
    for _ in range(5):
        door.failed(now, now)
    return door


def test_five_failures_in_a_row_close_it() -> None:
    door = Door()
    for _ in range(4):
        door.failed(0.0, 0.0)
    assert (door.reason, door.wait_s(None, 0.0)) == (None, 0.0)
    door.failed(0.0, 0.0)
    assert (door.reason, door.wait_s(None, 0.5), door.bound_s) == ("failing", 0.5, 30)


def test_half_of_the_last_twenty_close_it_and_fewer_never_do() -> None:
    door = Door()
    for number in range(1000):
        if number % 5 in (0, 2):
            door.failed(0.0, 0.0)
        else:
            door.answered(0.0, False, 0.0)
        assert door.reason is None
    for _ in range(10):
        door.failed(0.0, 0.0)
    assert door.reason == "failing"


def test_an_answered_probe_opens_it_and_what_was_before_is_forgotten() -> None:
    door = failing()
    door.probing(None, 1.0)
    door.answered(1.0, False, 1.5)
    assert (door.reason, door.most) == (None, 2)
    for _ in range(4):
        door.failed(2.0, 2.0)
    assert door.reason is None


def test_probes_come_after_growing_waits_and_those_begin_anew_after_a_success() -> None:
    door, now, waits = failing(), 0.0, []
    for _ in range(7):
        waits.append(door.wait_s(None, now))
        now += waits[-1]
        door.probing(None, now)
        door.failed(now, now + 0.25)
        now += 0.25
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    now += 30
    door.answered(now, False, now)
    for _ in range(5):
        door.failed(now, now)
    assert door.wait_s(None, now) == 1.0


def test_what_was_under_way_when_it_closed_says_nothing_new() -> None:
    door = failing(10.0)
    door.answered(9.0, False, 10.1)
    door.failed(9.0, 10.2)
    assert door.wait_s(None, 10.2) == pytest.approx(0.8)
    door.probing(None, 11.0)
    door.failed(9.5, 11.1)
    door.answered(9.5, False, 11.2)
    assert door.reason == "failing"
    door.answered(11.0, False, 11.3)
    assert door.reason is None


def test_a_probe_that_says_nothing_leaves_its_place_to_the_next() -> None:
    door = failing()
    door.probing(None, 1.0)
    door.undecided(1.2)
    assert (door.reason, door.wait_s(None, 1.2)) == ("failing", 0.0)


def test_each_reason_takes_the_place_of_the_one_before() -> None:
    door = failing()
    door.refused("RPM", False, 7.0, 1.0, 1.5)
    assert (door.reason, door.limit, door.wait_s(None, 1.5)) == ("cooldown", "RPM", 7.0)
    door.refused("TPD", True, None, 1.0, 1.6)
    assert (door.reason, door.limit, door.wait_s(None, 1.6), door.bound_s) == ("daily", "TPD", 10.0, 45)
