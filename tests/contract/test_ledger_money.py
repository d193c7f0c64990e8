"""What every `Ledger` promises about money: on record before the send, authorised before the grant, closed at the end."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from helix_ray.errors import InvariantError
from helix_ray.records import ApiCall, CallState, Intent
from helix_ray.storage.ledger import Ledger
from helix_ray.storage.postgres import PostgresLedger
from helix_ray.storage.postgres_session import PostgresTransaction
from helix_ray.storage.statements import statements
from support.ledger_values import RUN_ID, START, call, run_row

FREE = {"cost_usd": Decimal(0), "prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0, "status": None, "latency_ms": None}


def intended(number: int, **changes: object) -> ApiCall:
    details = {"service_tier": "on_demand", "prompt_estimate": 100, "max_completion_tokens": 50, "throttle_epoch": "e1", **changes}
    return call(number, [number], CallState.INTENDED, **{**FREE, **details})


def as_intents(calls: list[ApiCall]) -> list[Intent]:
    return [Intent(call) for call in calls]


async def test_a_request_is_on_record_before_it_is_sent_and_its_end_updates_that_row(ledger: Ledger) -> None:
    for _ in range(2):
        await ledger.intend(RUN_ID, as_intents([intended(1), intended(2), intended(3)]))
    assert await ledger.spent_usd(RUN_ID) == Decimal("0.03")
    assert (await ledger.counts(RUN_ID)).requests == 0
    unsent = intended(2, finished_at=START)
    await ledger.write_batch(RUN_ID, [], [call(1, [1]), replace(unsent, state=CallState.FAILED)])
    await ledger.intend(RUN_ID, as_intents([intended(1), intended(2)]))  # said again, late
    counts = await ledger.counts(RUN_ID)
    assert (counts.calls_by_state, counts.requests, counts.cost_usd) == (
        {"answered": 1, "failed": 1, "intended": 1},
        1,
        Decimal("0.001"),
    )
    assert await ledger.spent_usd(RUN_ID) == Decimal("0.011")


async def test_an_intent_with_odd_texts_is_kept(ledger: Ledger) -> None:
    await ledger.intend(RUN_ID, as_intents([intended(1, error="a\x00b\ud800", throttle_epoch=None, service_tier=None)]))
    assert await ledger.spent_usd(RUN_ID) == Decimal("0.01")


async def test_requests_on_record_are_told_from_others(ledger: Ledger) -> None:
    await ledger.intend(RUN_ID, as_intents([intended(1), intended(2)]))
    await ledger.write_batch(RUN_ID, [], [call(2, [2])])
    known, other = [call(number, [number]).call_id for number in (1, 2)], call(3, [3]).call_id
    assert sorted(await ledger.on_record(RUN_ID, [*known, other])) == sorted(known)
    assert await ledger.on_record(RUN_ID, [other]) == []


async def test_what_is_authorised_only_rises(ledger: Ledger) -> None:
    assert await ledger.reserved_usd(RUN_ID) == 0
    assert await ledger.authorise(RUN_ID, Decimal("0.5")) == Decimal("0.5")
    assert await ledger.authorise(RUN_ID, Decimal("0.2")) == Decimal("0.5")
    assert await ledger.reserved_usd(RUN_ID) == Decimal("0.5")
    with pytest.raises(InvariantError, match="never started"):
        await ledger.authorise(str(uuid.UUID(int=99)), Decimal(1))


async def test_requests_that_nobody_ends_any_more_are_possibly_billed_and_all_sums_agree(ledger: Ledger) -> None:
    await ledger.authorise(RUN_ID, Decimal("0.5"))
    await ledger.intend(RUN_ID, as_intents([intended(number) for number in (1, 2, 3)]))
    await ledger.write_batch(RUN_ID, [], [call(1, [1]), call(4, [4], CallState.SENT, **FREE)])
    for _ in range(2):
        assert await ledger.close_open_calls(RUN_ID) == Decimal("0.031")
    counts = await ledger.counts(RUN_ID)
    assert counts.calls_by_state == {"answered": 1, "possibly_billed": 3}
    assert (counts.cost_usd, counts.requests, await ledger.reserved_usd(RUN_ID)) == (Decimal("0.031"), 4, Decimal("0.031"))
    await ledger.write_batch(RUN_ID, [], [call(2, [2])])
    assert (await ledger.counts(RUN_ID)).cost_usd == Decimal("0.022"), "an answer that was found late replaces the guess"


async def test_what_is_known_to_be_billed_and_what_may_be_are_told_apart(ledger: Ledger) -> None:
    unknown = {**FREE, "cost_usd": Decimal("0.01"), "error_kind": "abandoned"}
    calls = [
        call(1, [1, 2]),
        call(2, [2]),
        call(3, [1, 2, 3], CallState.POSSIBLY_BILLED, **unknown),
        call(4, [3, 4], CallState.POSSIBLY_BILLED, **unknown),
    ]
    await ledger.write_batch(RUN_ID, [], calls)
    counts = await ledger.counts(RUN_ID)
    assert (counts.reads_repaid, counts.reads_possibly_repaid) == (1, 2), "2 surely, 1 and 3 perhaps"
    assert (counts.cost_usd, counts.possibly_billed_usd) == (Decimal("0.022"), Decimal("0.02"))


async def test_what_is_spent_can_leave_out_an_incarnation_of_the_throttle(ledger: Ledger) -> None:
    await ledger.intend(RUN_ID, as_intents([intended(1), intended(2, throttle_epoch="e2"), intended(3, throttle_epoch=None)]))
    assert await ledger.spent_usd(RUN_ID, "e2") == Decimal("0.02")
    assert await ledger.spent_usd(RUN_ID, "e9") == Decimal("0.03")


async def test_what_was_taken_from_the_limits(ledger: Ledger) -> None:
    now = datetime.now(UTC)

    def at(age_s: float, **changes: object) -> dict[str, object]:
        ended = now - timedelta(seconds=age_s)
        return {"created_at": ended - timedelta(seconds=2), "finished_at": ended, "latency_ms": 1000.0, **changes}

    calls = [
        call(1, [1], **at(9)),
        call(2, [2], **at(19, service_tier="flex")),
        call(3, [3], CallState.FAILED, status=429, **at(19)),
        call(4, [4], provider="groq", usage_estimated=True, **at(629)),
        call(5, [5], **at(639)),
        call(6, [6], **at(90_000)),
        call(7, [7], model="another", **at(5)),
        call(11, [11], provider="vllm", **at(5)),
        call(8, [8], CallState.POSSIBLY_BILLED, **{**FREE, **at(29, prompt_estimate=100, max_completion_tokens=50)}),
    ]
    await ledger.write_batch(RUN_ID, [], calls)
    await ledger.intend(RUN_ID, as_intents([intended(9, created_at=now - timedelta(seconds=40))]))
    found = await ledger.taken("m", "groq", simulated=True)
    assert [taken[1:] for taken in found] == [
        (1, 8, 5, "on_demand"),
        (1, 8, 5, "flex"),
        (1, 100, 50, "on_demand"),
        (1, 100, 50, "on_demand"),
        (2, 16, 10, "on_demand"),
    ]
    assert [taken.age_s for taken in found] == pytest.approx([10, 20, 30, 40, 630], abs=8)
    assert await ledger.taken("m", "groq", simulated=False) == []
    assert (await ledger.counts(RUN_ID)).usage_estimated == 1
    other = str(uuid.UUID(int=77))
    await ledger.start_run(run_row(run_id=other))
    await ledger.intend(other, as_intents([intended(10)]))
    assert len(await ledger.taken("m", "groq", simulated=True)) == 6, "another run with the same key and model counts"


async def test_an_intent_waits_for_no_batch_that_is_being_written(database_url: str) -> None:
    first, second = PostgresLedger(database_url), PostgresLedger(database_url, statement_timeout_s=5.0)
    await first.start_run(run_row())

    async def hold(transaction: PostgresTransaction) -> None:
        await transaction.rows(statements("writing")["lock_run"], {"run_id": RUN_ID})
        await second.intend(RUN_ID, as_intents([intended(1)]))  # would time out if it waited

    await first._session.run(hold)
    assert await first.spent_usd(RUN_ID) == Decimal("0.01")
    await first.aclose()
    await second.aclose()
