"""What may be granted: within the cap, and within what is committed to the ledger."""

from __future__ import annotations

from decimal import Decimal

import pytest

from helix_ray.throttle.budget import CHUNK_REQUESTS, Admission, Budget

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
