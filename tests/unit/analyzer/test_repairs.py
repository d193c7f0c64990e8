"""An answer that cannot be used is paid for, and its read is asked about once more: alone, and on a budget of its own."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from fix_analyzer import RIGHT, read, rig
from helix_ray.analyzer.retry_policy import MAX_UNATTRIBUTED
from helix_ray.backends.chat import ChatReply, TransportFailure
from helix_ray.records import CallState, Disposition
from support.scripted_llm import answer_text, api_error, completion, prompted_ids

Answer = Callable[[dict[str, Any]], ChatReply]

PROSE: Answer = lambda payload: completion(payload, content="I see no JSON")  # noqa: E731
FOREIGN: Answer = lambda payload: completion(payload, content='{"id": "other", "calls": []}')  # noqa: E731
CUT_OFF: Answer = lambda payload: completion(payload, content='{"id": "', finish_reason="length")  # noqa: E731
FILTERED: Answer = lambda payload: completion(payload, content="", finish_reason="content_filter")  # noqa: E731
KINDS = pytest.mark.parametrize(("answer", "kind"), [(PROSE, "parse_error"), (FOREIGN, "schema_error"), (CUT_OFF, "truncated")])


@KINDS
async def test_a_second_answer_repairs_the_first(answer: Answer, kind: str) -> None:
    it = await rig([read(0)], [answer], max_attempts=1).finished()
    (result,) = it.sink.results
    assert (result.disposition, result.outcome, result.error_kind) == (Disposition.STORED, "ok", None)
    assert (result.attempts, result.repairs) == (1, 1), "a repair is no attempt"
    first, second = it.sink.calls
    assert [(call.kind, call.attempt, call.error_kind) for call in (first, second)] == [("analysis", 1, kind), ("repair", 1, None)]
    assert [call.read_indices for call in it.sink.calls] == [[0], [0]]
    assert it.sink.states() == [CallState.ANSWERED] * 2
    assert result.call_id == second.call_id
    assert result.cost_usd == first.cost_usd + second.cost_usd, "both were paid for this read"
    assert it.throttle.outcomes() == ["answered"] * 2
    report = it.engine.report()
    assert (report.repairs, report.failures, report.dead_letters) == (1, 0, 0)


@KINDS
async def test_a_repair_that_fails_is_a_dead_letter_of_its_last_kind(answer: Answer, kind: str) -> None:
    it = await rig([read(0)], [PROSE if answer is CUT_OFF else CUT_OFF, answer]).finished()
    (result,) = it.sink.results
    assert (result.disposition, result.error_kind, result.outcome) == (Disposition.DEAD_LETTER, kind, kind)
    assert (result.attempts, result.repairs) == (1, 1)
    assert [(row.side, row.match) for row in result.variants] == [("truth", "FN"), ("baseline", "TP")]
    assert result.raw_answer
    assert result.error
    assert result.cost_usd == sum(call.cost_usd for call in it.sink.calls) > 0
    assert len(it.llm.payloads) == 2
    assert it.engine.report().dead_letters == 1


async def test_a_refusal_is_an_answer_and_not_asked_again() -> None:
    it = await rig([read(0)], [FILTERED]).finished()
    (result,) = it.sink.results
    assert (result.error_kind, result.outcome, result.attempts, result.repairs) == ("refused", "refused", 1, 0)
    assert result.cost_usd > 0
    assert [(call.kind, call.error_kind) for call in it.sink.calls] == [("analysis", "refused")]


async def test_a_repair_asks_with_another_seed_and_the_same_room() -> None:
    it = await rig([read(0)], [PROSE], max_completion_tokens=100).finished()
    first, second = it.llm.payloads
    assert second["seed"] == first["seed"] + 1
    assert second["messages"] == first["messages"]
    assert [want.max_completion_tokens for want in it.throttle.wants] == [100, 100]
    assert it.throttle.wants[0].worst_case_usd == it.throttle.wants[1].worst_case_usd


@pytest.mark.parametrize(("configured", "asked"), [(100, 200), (40_000, 65_536), (65_536, 65_536)])
async def test_what_was_cut_off_gets_twice_the_room_and_it_is_reserved(configured: int, asked: int) -> None:
    it = await rig([read(0)], [CUT_OFF], max_completion_tokens=configured).finished()
    assert [payload["max_completion_tokens"] for payload in it.llm.payloads] == [configured, asked]
    assert [want.max_completion_tokens for want in it.throttle.wants] == [configured, asked]
    first, second = it.throttle.wants
    assert [call.worst_case_usd for call in it.sink.calls] == [first.worst_case_usd, second.worst_case_usd]
    assert float(second.worst_case_usd - first.worst_case_usd) == pytest.approx((asked - configured) * 0.3e-6)


async def test_a_failing_api_during_a_repair_costs_no_further_repair() -> None:
    lost = TransportFailure("unknown", "reset", "the connection broke", 0.2)
    busy = api_error(429, "on tokens per minute (TPM): Limit 8000, Used 7739, Requested 1108. Please try again in 6s.")
    it = await rig([read(0)], [lost, CUT_OFF, busy, api_error(500, "oops")], max_completion_tokens=100).finished()
    (result,) = it.sink.results
    assert (result.disposition, result.attempts, result.repairs) == (Disposition.STORED, 2, 1)
    assert [(call.kind, call.attempt) for call in it.sink.calls] == [
        ("analysis", 1),
        ("analysis", 1),
        ("repair", 1),
        ("repair", 1),
        ("repair", 2),
    ], "its own answer, unusable as it was, shows that the API works"
    assert {payload["max_completion_tokens"] for payload in it.llm.payloads[2:]} == {200}


async def test_a_repair_that_never_gets_an_answer_ends_as_api_failed() -> None:
    it = await rig([read(0)], [PROSE, *[api_error(500, "oops")] * MAX_UNATTRIBUTED * 3]).finished()
    (result,) = it.sink.results
    assert (result.error_kind, result.outcome, result.attempts, result.repairs) == ("api_failed", "api_failed", 1, 1)
    assert result.cost_usd == it.sink.calls[0].cost_usd > 0
    assert result.raw_answer is None


async def test_a_read_whose_lease_was_lost_is_not_repaired() -> None:
    it = rig([read(0)], [PROSE], closed=False)
    it.llm.hold()
    async with it.running():
        it.queue.lost = {"lease1"}
        await it.clock.advance(10.0)
        it.llm.release()
        await it.settle_down()
        assert len(it.llm.payloads) == 1
        assert it.engine.report().held == 0
    assert (it.sink.results, it.queue.nacked) == ([], [])


async def test_a_drain_does_not_begin_a_repair() -> None:
    it = rig([read(0)], [PROSE], closed=False)
    it.llm.hold()
    async with it.running() as run:
        await it.begin_drain(20.0)
        it.llm.release()
        it.queue.close()
        await it.settle_down()
        assert await run == "drained"
    assert (it.queue.nacked, it.sink.results) == ([0], [])
    assert it.sink.states() == [CallState.ANSWERED]


async def test_what_was_overlooked_is_counted_and_stored() -> None:
    def fenced(payload: dict[str, Any]) -> ChatReply:
        text = answer_text([(prompted_ids(payload)[0], [(5, "a", "t")])], packed=False)
        return completion(payload, content=f"```json\n{text}\n```")

    it = await rig([read(0), read(1)], [fenced]).finished()
    lenient, strict = sorted(it.sink.results, key=lambda result: result.read.read_index)
    assert (lenient.leniency, strict.leniency) == (("case", "fence"), ())
    assert [row.match for row in lenient.variants] == ["TP"] * 3
    assert json.loads(lenient.raw_answer or "")["calls"][0]["pos"] == RIGHT[0][0]
    assert it.engine.report().lenient == 1
    assert {call.error_kind for call in it.sink.calls} == {None}
