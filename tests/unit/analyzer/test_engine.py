"""Every way in which a read ends, and what it costs."""

from decimal import Decimal
from typing import Any

import pytest

from fix_analyzer import read, rig
from helix_ray.backends.chat import TransportFailure
from helix_ray.providers.prices import ModelPrice, Tariff, tariff_of
from helix_ray.records import CallState, Disposition, Variant
from support.scripted_llm import api_error, chat_reply, completion, prompted_ids

LOST_REPLY = TransportFailure("unknown", "reset", "the connection broke", 0.2)
NOT_SENT = TransportFailure("not_sent", "connect", "refused")


async def test_a_valid_answer_is_stored_scored_and_paid_for_once() -> None:
    it = rig([read(3)])
    assert await it.finish() == "closed"
    (result,) = it.sink.results
    assert result.disposition is Disposition.STORED
    assert [(row.side, row.match) for row in result.variants] == [("truth", "TP"), ("call", "TP"), ("baseline", "TP")]
    assert (result.mutation_detected, result.attempts, result.queue_ms, result.latency_ms) == (True, 1, 7.0, 100.0)
    assert result.raw_answer is not None
    assert (result.system_fingerprint, result.service_tier, result.prompt) == ("fp_scripted", "on_demand", "indexed10")
    assert result.prompt_hash
    assert result.schema_hash
    (call,) = it.sink.calls
    assert (call.state, call.status, call.read_indices, call.attempt) == (CallState.ANSWERED, 200, [3], 1)
    assert (call.prompt_tokens, call.completion_tokens, call.provider_request_id) == (700, 60, "req_scripted")
    assert call.cost_usd == result.cost_usd == Decimal("0.0000705")
    assert call.call_id == result.call_id
    assert call.cost_usd < call.worst_case_usd
    (settlement,) = it.throttle.settlements
    assert (settlement.outcome, settlement.cost_usd) == ("answered", call.cost_usd)
    assert it.throttle.wants[0].worst_case_usd == call.worst_case_usd
    assert it.engine.report().analysed == 1
    assert it.engine.report().score["type", "SNV"].tp == 1
    assert it.engine.report().latency_ms_p99 == 100.0


async def test_an_answer_of_no_mutation_is_an_answer() -> None:
    it = await rig([read(0)], [lambda payload: completion(payload, [])]).finished()
    (result,) = it.sink.results
    assert (result.disposition, result.mutation_detected) == (Disposition.STORED, False)
    assert [(row.side, row.match) for row in result.variants] == [("truth", "FN"), ("baseline", "TP")]
    report = it.engine.report()
    assert (report.score["type", "SNV"].fn, report.ceiling["type", "SNV"].tp) == (1, 1)
    assert report.ceiling["type", "SNV"].fn == 0


@pytest.mark.parametrize(
    ("failure", "outcome", "state"),
    [
        (NOT_SENT, "not_sent", CallState.FAILED),
        (LOST_REPLY, "unknown", CallState.POSSIBLY_BILLED),
        (api_error(500, "oops"), "rejected", CallState.FAILED),
        (chat_reply(502, {}, b"<html>", 0.1), "rejected", CallState.FAILED),
        (chat_reply(200, {}, b'{"choices": [', 0.1), "unknown", CallState.POSSIBLY_BILLED),
        (chat_reply(200, {"content-type": "text/html"}, b"<html>", 0.1), "unknown", CallState.POSSIBLY_BILLED),
    ],
)
async def test_an_api_failure_is_tried_again(failure: Any, outcome: str, state: CallState) -> None:
    it = await rig([read(0)], [failure] * 3, max_attempts=2).finished()
    (result,) = it.sink.results
    assert (result.disposition, result.attempts) == (Disposition.STORED, 1)
    assert [call.attempt for call in it.sink.calls] == [1] * 4
    assert it.sink.states() == [state] * 3 + [CallState.ANSWERED]
    assert it.throttle.outcomes() == [outcome] * 3 + ["answered"]
    assert {settlement.trouble for settlement in it.throttle.settlements[:3]} == {"failure"}
    assert [want.retry for want in it.throttle.wants] == [False, True, True, True]
    assert it.engine.report().failures == 3


async def test_a_request_of_unknown_outcome_counts_at_its_worst_case() -> None:
    it = await rig([read(0)], [LOST_REPLY]).finished()
    lost, answered = it.sink.calls
    assert lost.cost_usd == lost.worst_case_usd > answered.cost_usd
    assert it.throttle.settlements[0].cost_usd == lost.cost_usd


async def test_a_429_costs_a_read_nothing() -> None:
    busy = api_error(429, "on tokens per minute (TPM): Limit 8000, Used 7739, Requested 1108. Please try again in 6.3525s.")
    it = await rig([read(0)], [busy] * 20, max_attempts=1).finished()
    (result,) = it.sink.results
    assert (result.disposition, result.attempts) == (Disposition.STORED, 1)
    assert [call.status for call in it.sink.calls] == [429] * 20 + [200]
    assert {call.attempt for call in it.sink.calls} == {1}
    first = it.throttle.settlements[0]
    assert first.outcome == "rejected"
    assert first.limited is not None
    assert (first.limited.kind, first.limited.retry_after_s) == ("TPM", 6.3525)
    assert it.engine.report().failures == 0


@pytest.mark.parametrize("disposition", [Disposition.UNPLACED, Disposition.FILTERED, Disposition.MALFORMED])
async def test_a_read_whose_ending_is_known_passes_without_a_request(disposition: Disposition) -> None:
    it = await rig([read(0, disposition=disposition, reason="why", truth=None)]).finished()
    (result,) = it.sink.results
    assert (result.disposition, result.error_kind, result.error) == (disposition, None, "why")
    assert (result.variants, result.mutation_detected) == ([], None)
    assert it.llm.payloads == []
    assert it.throttle.wants == []


async def test_without_truth_the_baseline_stands_beside_the_calls() -> None:
    it = await rig([read(0, truth=None)]).finished()
    (result,) = it.sink.results
    assert [(row.side, row.pos, row.match) for row in result.variants] == [("call", 5, None), ("baseline", 5, None)]


async def test_a_call_of_a_sequencing_error_says_that_it_is_one() -> None:
    misread = (Variant(5, "A", "T", "SNV", "snv"),)
    it = await rig([read(0, truth=(), errors=misread)]).finished()
    (result,) = it.sink.results
    assert [(row.side, row.match, row.detail) for row in result.variants] == [
        ("call", "FP", "error"),
        ("baseline", "FP", "error"),
        ("error", None, None),
    ]


async def test_a_read_that_was_damaged_on_its_way_ends_as_any_other() -> None:
    it = await rig([read(0, seq="ACG?TCGTACGTACGTACGT")], backend=False).finished()
    (result,) = it.sink.results
    assert [(row.side, row.match) for row in result.variants] == [("truth", "FN")], "the sink finds out by its checksum"


async def test_the_prompt_carries_an_opaque_id_only() -> None:
    it = await rig([read(0, read_id="patient-17")]).finished()
    assert "patient" not in str(it.llm.payloads)
    assert len(prompted_ids(it.llm.payloads[0])[0]) == 16


async def test_the_aligner_answers_without_asking_anyone() -> None:
    it = await rig([read(index) for index in range(30)] + [read(30, truth=None)], backend=False).finished()
    assert len(it.sink.results) == 31
    assert {result.disposition for result in it.sink.results} == {Disposition.STORED}
    assert [(row.side, row.match) for row in it.sink.results[0].variants] == [("truth", "TP"), ("call", "TP"), ("baseline", "TP")]
    assert [row.side for row in it.sink.results[-1].variants] == ["call", "baseline"]
    assert it.sink.results[0].model == "aligner"
    assert (it.throttle.wants, it.sink.calls) == ([], [])
    assert it.engine.report().score["type", "SNV"].tp == 30


MODEL = "openai/gpt-oss-20b"


async def costs(tariff: Tariff | None) -> tuple[Decimal, Decimal]:
    """Reserved at worst, and booked, of one answered request."""
    made = await rig([read(0)], tariff=tariff).finished()
    (call,) = [call for call in made.sink.calls if call.cost_usd]
    assert call.worst_case_usd is not None
    assert call.cost_usd is not None
    return call.worst_case_usd, call.cost_usd


async def test_ten_times_the_price_reserves_and_books_ten_times_as_much() -> None:
    known = tariff_of(MODEL)
    dear = Tariff(ModelPrice(*(10 * amount for amount in known.price)), known.completion_limit, "GET /models")
    worst, booked = await costs(None)
    assert 0 < booked < worst
    assert await costs(dear) == (10 * worst, 10 * booked)
    assert await costs(known) == (worst, booked)
