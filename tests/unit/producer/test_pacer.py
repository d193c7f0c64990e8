"""The pacer keeps the rate, never lets more than one batch ahead of it pass, and follows changes at once."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.producer.pacer import Pacer


def run(pacer: Pacer, now: float, until: float, late_s: float = 0.0) -> list[tuple[float, int]]:
    """What passes when the caller always offers its next piece, waking ``late_s`` after it was due."""
    passed = []
    while (delay := pacer.delay_s(now)) + now < until:
        now += delay + (late_s if delay else 0.0)
        passed.append((now, pacer.piece()))
        pacer.passed(pacer.piece(), now)
    return passed


def test_without_a_rate_everything_passes_in_whole_batches() -> None:
    pacer = Pacer(2, 50)
    assert pacer.piece() == 50
    pacer.passed(50, 0.0)
    assert pacer.delay_s(0.0) == 0.0


def test_a_rate_of_zero_lets_nothing_pass() -> None:
    pacer = Pacer(1, 50)
    pacer.set_rate(0.0, 0.0)
    assert pacer.delay_s(0.0) == math.inf


@pytest.mark.parametrize("rate", [0.5, 10.0, 400.0, 20_000.0])
def test_a_producer_gets_its_share_of_the_rate(rate: float) -> None:
    pacer = Pacer(4, 50)
    pacer.set_rate(rate, 0.0)
    seconds = 4000 / rate
    assert sum(size for _, size in run(pacer, 0.0, seconds)) == pytest.approx(rate / 4 * seconds, abs=50)


def test_waking_a_little_late_does_not_lower_the_rate() -> None:
    pacer = Pacer(1, 50)
    pacer.set_rate(1000.0, 0.0)
    assert sum(size for _, size in run(pacer, 0.0, 10.0, late_s=0.005)) == pytest.approx(10_000, abs=50)


@given(
    rate=st.floats(0.1, 1e5),
    batch=st.integers(1, 200),
    pauses=st.lists(st.floats(0, 30), max_size=30),
)
def test_no_stretch_of_time_sees_more_than_the_rate_and_one_batch(rate: float, batch: int, pauses: list[float]) -> None:
    pacer = Pacer(1, batch)
    pacer.set_rate(rate, 0.0)
    now, events = 0.0, []
    for pause in pauses:
        now += pause
        for _ in range(5):
            now += pacer.delay_s(now)
            pacer.passed(pacer.piece(), now)
            events.append((now, pacer.piece()))
    for first in range(len(events)):
        total = 0
        for at, size in events[first:]:
            total += size
            assert total <= rate * (at - events[first][0]) * (1 + 1e-9) + batch + 1e-6


def test_a_slow_rate_is_a_trickle_of_small_pieces() -> None:
    pacer = Pacer(1, 50)
    pacer.set_rate(8.0, 0.0)
    assert pacer.piece() == 2
    times = [at for at, _ in run(pacer, 0.0, 60.0)][30:]
    assert max(after - before for before, after in pairwise(times)) == pytest.approx(0.25)


def test_a_new_rate_counts_from_now_on_for_waiting_that_is_left_too() -> None:
    pacer = Pacer(1, 50)
    pacer.set_rate(0.01, 0.0)
    run(pacer, 0.0, 1.0)
    assert pacer.delay_s(1.0) > 90
    pacer.set_rate(100.0, 1.0)
    assert pacer.delay_s(1.0) < 0.05
    pacer.set_rate(None, 1.0)
    assert pacer.delay_s(1.0) == 0.0


def test_a_pause_stores_no_credit() -> None:
    pacer = Pacer(1, 50)
    pacer.set_rate(100.0, 0.0)
    pacer.set_rate(0.0, 10.0)
    pacer.set_rate(100.0, 1000.0)
    assert sum(size for _, size in run(pacer, 1000.0, 1001.0)) <= 150
