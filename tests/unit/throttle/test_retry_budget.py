"""Retries are a share of what is sent, whatever fails."""

from __future__ import annotations

import random

import pytest

from helix_ray.throttle.budget import RetryBudget


def retries_of(share: float, failing: float, firsts: int) -> tuple[int, int]:
    """Sends and retries among them while ``firsts`` requests go out, 10 a second, each failing with this chance."""
    budget, chance, waiting, sends, retries = RetryBudget(share), random.Random(1), 0, 0, 0
    for number in range(firsts):
        now = number * 0.1
        retry = False
        while True:
            budget.sent(retry, now)
            sends, retries = sends + 1, retries + retry
            waiting += chance.random() < failing
            retry = waiting > 0 and budget.wait_s(now) == 0.0
            if not retry:
                break
            waiting -= 1
        assert retries <= 10 + share * sends + 1e-9
    return sends, retries


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("failing", [0.3, 0.9, 1.0])
def test_never_more_than_the_share_and_the_first_ten(share: float, failing: float) -> None:
    sends, retries = retries_of(share, failing, 3000)
    if failing * (1 - share) > share:
        assert retries >= 0.9 * share * sends, "and what is allowed is used"


def test_failures_within_the_share_are_all_sent_again() -> None:
    sends, retries = retries_of(0.1, 0.05, 3000)
    assert retries == pytest.approx(0.05 * sends, rel=0.2)


def test_what_was_not_used_is_saved_up_to_a_bound() -> None:
    budget = RetryBudget(0.1)
    for _ in range(100_000):
        budget.sent(False, 0.0)
    burst = 0
    while budget.wait_s(0.0) == 0.0:
        budget.sent(True, 0.0)
        burst += 1
    assert burst == pytest.approx(100 / 0.9, abs=2)


def test_when_nothing_else_is_sent_retries_go_two_a_second() -> None:
    budget, now = RetryBudget(0.1, least=0), 100.0
    budget.sent(False, now)
    for _ in range(20):
        assert budget.wait_s(now) != 0.0
        wait_s = budget.wait_s(now)
        assert wait_s <= 0.5
        now += wait_s
        assert budget.wait_s(now) == 0.0
        budget.sent(True, now)
    assert 4.0 <= now - 100.0 <= 10.0


def test_a_share_of_one_bounds_nothing() -> None:
    budget = RetryBudget(1.0, least=0)
    for _ in range(100):
        assert budget.wait_s(0.0) == 0.0
        budget.sent(True, 0.0)
