"""What may be granted: within the cap, within what is committed to the ledger, and retries as a share of what is sent."""

import random
from decimal import Decimal

import pytest

from helix_ray.throttle.budget import CHUNK_REQUESTS, Admission, Budget, RetryBudget

WORST = Decimal("0.001")


def test_without_anybody_to_ask_the_cap_alone_counts() -> None:
    budget = Budget(Decimal(1))
    assert budget.shortfall(WORST) is None
    assert budget.admission(Decimal(1)) is Admission.NOW
    assert budget.admission(Decimal("1.001")) is Admission.NEVER


def test_nothing_is_granted_before_it_is_authorised() -> None:
    budget = Budget(Decimal(1))
    budget.authorise(Decimal(0))
    assert budget.admission(WORST) is Admission.WAIT
    assert budget.shortfall(WORST) == CHUNK_REQUESTS * WORST
    budget.authorise(CHUNK_REQUESTS * WORST)
    assert budget.admission(WORST) is Admission.NOW
    assert budget.shortfall(WORST) is None


def test_more_is_asked_for_when_half_a_chunk_is_left_so_that_no_grant_waits() -> None:
    budget, asked, waited = Budget(Decimal(1)), 0, 0
    budget.authorise(Decimal(0))
    for _ in range(900):
        total = budget.shortfall(WORST)
        if total is not None:
            asked += 1
        waited += asked > 1 and budget.admission(WORST) is Admission.WAIT
        if total is not None:  # answered after the next grant, not before
            budget.authorise(total)
        budget.reserve(WORST)
        budget.settle(WORST, WORST)
    assert waited == 0
    assert asked <= 2 * 900 // CHUNK_REQUESTS + 2


@pytest.mark.parametrize("cap", ["1000", "0.01", "0.0013"])
def test_a_chunk_is_a_share_of_a_large_cap_and_never_passes_a_small_one(cap: str) -> None:
    budget = Budget(Decimal(cap))
    budget.authorise(Decimal(0))
    assert budget.shortfall(WORST) == min(Decimal(cap), max(CHUNK_REQUESTS * WORST, Decimal(cap) / 50))


def test_nothing_is_authorised_for_requests_that_are_free() -> None:
    budget = Budget(Decimal(1))
    budget.authorise(Decimal(0))
    assert (budget.admission(Decimal(0)), budget.shortfall(Decimal(0))) == (Admission.NOW, None)


def test_the_whole_cap_can_be_authorised_and_then_nothing_is_asked_any_more() -> None:
    budget = Budget(Decimal("0.01"))
    budget.authorise(Decimal("0.01"))
    assert budget.shortfall(WORST) is None
    for _ in range(10):
        assert budget.admission(WORST) is Admission.NOW
        budget.reserve(WORST)
    assert budget.admission(WORST) is Admission.WAIT
    for _ in range(10):
        budget.settle(WORST, WORST)
    assert budget.admission(WORST) is Admission.NEVER


def test_a_cap_lowered_below_what_is_authorised_counts_and_one_raised_again_needs_no_new_word() -> None:
    budget = Budget(Decimal(1))
    budget.authorise(Decimal("0.5"))
    budget.max_cost_usd = Decimal("0.0005")
    assert (budget.admission(WORST), budget.shortfall(WORST)) == (Admission.NEVER, None)
    budget.max_cost_usd = Decimal(1)
    assert budget.admission(Decimal("0.5")) is Admission.NOW
    budget.authorise(Decimal("0.1"))
    assert budget.authorised == Decimal("0.5"), "an old answer that comes late takes nothing away"


def test_what_a_dead_throttle_may_have_spent_stops_grants_but_does_not_end_the_run() -> None:
    budget = Budget(Decimal(1))
    budget.authorise(Decimal(1))
    budget.restore(Decimal(1), provisional=True)
    assert budget.admission(WORST) is Admission.WAIT
    budget.restore(Decimal("0.9995"))
    assert budget.admission(WORST) is Admission.NEVER
    budget.restore(Decimal("0.999"))
    assert budget.admission(WORST) is Admission.NOW


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
