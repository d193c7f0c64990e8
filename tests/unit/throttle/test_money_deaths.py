"""The hard cap over deaths of the throttle, of analyzers and of whole runs, against a provider that bills."""

from __future__ import annotations

from decimal import Decimal

import pytest

from support.money_world import LARGEST, Bill, Deaths, MoneyWorld

CAP = Decimal("0.2")


async def run(seed: int, deaths: Deaths) -> Bill:
    """The world itself asserts that what is billed and in flight never passes the cap.

    The ledger is an upper bound: where an answer was settled and its row died with the analyzer, it holds the worst case.
    """
    bill = await MoneyWorld(seed, CAP, deaths).run()
    assert bill.provider_usd <= bill.ledger_usd <= CAP + bill.unrecorded_usd
    assert bill.highest_usd <= CAP
    return bill


@pytest.mark.parametrize("seed", range(5))
async def test_without_deaths_the_ledger_is_the_bill_and_the_run_stops_at_the_cap(seed: int) -> None:
    bill = await run(seed, Deaths())
    unknown = bill.ledger_usd - bill.provider_usd
    assert 0 <= unknown <= CAP / 10, "answers that were lost count at their worst case"
    assert CAP - bill.ledger_usd < LARGEST
    assert bill.requests > 200


@pytest.mark.parametrize("seed", range(8))
async def test_deaths_of_the_throttle_cost_no_money(seed: int) -> None:
    bill = await run(seed, Deaths(throttle=0.02))
    assert CAP - bill.ledger_usd < LARGEST


@pytest.mark.parametrize("seed", range(8))
async def test_a_run_that_is_killed_and_resumed_keeps_its_cap(seed: int) -> None:
    bill = await run(seed, Deaths(run=0.2))
    assert bill.resumes > 0
    assert CAP - bill.ledger_usd < LARGEST


@pytest.mark.parametrize("seed", range(12))
async def test_the_cap_holds_whoever_dies(seed: int) -> None:
    bill = await run(seed, Deaths(throttle=0.1, analyzer=0.3, run=0.1))
    assert bill.throttle_deaths + bill.analyzer_deaths + bill.resumes > 0
