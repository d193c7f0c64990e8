"""Requests about several reads: how they are formed, what each of their reads gets, and what becomes of all when one fails."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from fix_analyzer import RIGHT, Rig, read, rig
from helix_ray.analyzer.request_cycle import cost_shares
from helix_ray.analyzer.retry_policy import MAX_UNATTRIBUTED
from helix_ray.backends.chat import ChatReply, TransportFailure
from helix_ray.records import CallState, Disposition, ReadResult
from helix_ray.throttle.messages import Refusal
from support.scripted_llm import answer_text, api_error, chat_reply, completion, is_packed, prompted_ids

LOST_REPLY = TransportFailure("unknown", "reset", "the connection broke", 0.2)


def packed(count: int, script: Any = (), **settings: Any) -> Rig:
    """One request holds them all."""
    defaults = {"reads_per_request": count, "requests_in_flight": 1, "batch_size": count}
    return rig([read(index) for index in range(count)], script, **defaults | settings)


def by_index(it: Rig) -> list[ReadResult]:
    return sorted(it.sink.results, key=lambda result: result.read.read_index)


def sizes(it: Rig) -> list[int]:
    return [len(prompted_ids(payload)) for payload in it.llm.payloads]


# ── how requests are formed ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_takes_what_is_there_and_waits_for_no_more() -> None:
    it = await rig([read(index) for index in range(25)], reads_per_request=10, requests_in_flight=2, batch_size=25).finished()
    assert sizes(it) == [10, 10, 5]
    assert all(is_packed(payload) for payload in it.llm.payloads)
    assert [call.read_indices for call in it.sink.calls] == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert {(call.kind, call.attempt) for call in it.sink.calls} == {("analysis", 1)}
    assert [result.disposition for result in by_index(it)] == [Disposition.STORED] * 25


async def test_leases_fill_all_requests_plus_one_batch() -> None:
    it = rig([read(index) for index in range(100)], reads_per_request=10, requests_in_flight=3, batch_size=6, closed=False)
    it.llm.hold()
    async with it.running():
        assert it.llm.in_flight == 3
        assert (it.engine.report().held, it.engine.report().in_flight) == (36, 3)


async def test_the_money_reserved_is_for_the_whole_request() -> None:
    one, ten = packed(1), packed(10)
    await one.finish()
    await ten.finish()
    (single,), (whole,) = one.throttle.wants, ten.throttle.wants
    assert whole.max_completion_tokens == single.max_completion_tokens
    assert whole.prompt_tokens > single.prompt_tokens
    assert single.worst_case_usd < whole.worst_case_usd < 10 * single.worst_case_usd
    assert ten.sink.calls[0].worst_case_usd == whole.worst_case_usd


# ── what each read gets ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_read_stores_its_own_answer_and_its_share() -> None:
    it = await packed(3, [lambda payload: completion(payload, RIGHT, prompt_tokens=701, completion_tokens=61)]).finished()
    (call,) = it.sink.calls
    results = by_index(it)
    for result, name in zip(results, prompted_ids(it.llm.payloads[0]), strict=True):
        assert json.loads(result.raw_answer or "")["id"] == name
        assert (result.call_id, result.latency_ms, result.attempts, result.repairs) == (call.call_id, 100.0, 1, 0)
        assert [row.match for row in result.variants] == ["TP"] * 3
    assert sum(result.cost_usd for result in results) == call.cost_usd
    assert results[1].cost_usd == results[2].cost_usd <= results[0].cost_usd
    (settlement,) = it.throttle.settlements
    assert settlement.cost_usd == call.cost_usd
    assert it.engine.report().cost_usd == pytest.approx(float(call.cost_usd))


@pytest.mark.parametrize("cost", ["0", "0.0000705", "0.000000000001", "1.000000000001", "0.3333333333335"])
@pytest.mark.parametrize("reads", [1, 2, 3, 7, 50])
def test_shares_add_up_to_the_cost(cost: str, reads: int) -> None:
    shares = cost_shares(Decimal(cost), reads)
    assert len(shares) == reads
    assert sum(shares) == Decimal(cost)
    assert min(shares) >= 0
    assert len(set(shares[1:])) <= 1
    assert all(share == round(share, 12) for share in shares[1:])


def _left_out(answers: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return answers[1:]


def _repeated(answers: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [*answers, (answers[0][0], [(1, "A", "C")])]


def _under_a_neighbours_id(answers: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(answers[1][0], answers[0][1]), *answers[1:]]


@pytest.mark.parametrize(("damage", "without"), [(_left_out, [0]), (_repeated, [0]), (_under_a_neighbours_id, [0, 1])])
async def test_reads_without_an_answer_are_asked_again_alone(damage: Callable[[Any], Any], without: list[int]) -> None:
    def damaged(payload: dict[str, Any]) -> ChatReply:
        return completion(payload, content=answer_text(damage([(name, RIGHT) for name in prompted_ids(payload)]), packed=True))

    it = await packed(5, [damaged]).finished()
    first, *repairs = it.sink.calls
    assert (first.state, first.error_kind) == (CallState.ANSWERED, "schema_error")
    assert f"{len(without)} of 5" in (first.error or "")
    assert [(call.kind, call.read_indices) for call in repairs] == [("repair", [index]) for index in without]
    assert all(is_packed(payload) for payload in it.llm.payloads), "the prompt is the run's, whatever the number of reads"
    for result in by_index(it):
        assert result.disposition is Disposition.STORED
        assert result.repairs == (result.read.read_index in without)
        assert [row.match for row in result.variants] == ["TP"] * 3
    assert sum(result.cost_usd for result in it.sink.results) == sum(call.cost_usd for call in it.sink.calls)


async def test_foreign_ids_are_passed_over_and_named() -> None:
    def invented(payload: dict[str, Any]) -> ChatReply:
        answers = [*((name, RIGHT) for name in prompted_ids(payload)), ("0" * 16, [(1, "A", "C")])]
        return completion(payload, content=answer_text(answers, packed=True))

    it = await packed(3, [invented]).finished()
    (call,) = it.sink.calls
    assert (call.state, call.error_kind) == (CallState.ANSWERED, "foreign_ids")
    assert [(result.disposition, result.repairs) for result in by_index(it)] == [(Disposition.STORED, 0)] * 3


async def test_of_an_answer_that_is_none_every_read_is_repaired_alone() -> None:
    it = await packed(4, [lambda payload: completion(payload, content="cut", finish_reason="length")], max_completion_tokens=160).finished()
    assert sizes(it) == [4, 1, 1, 1, 1]
    assert [want.max_completion_tokens for want in it.throttle.wants] == [160, 320, 320, 320, 320]
    assert [call.kind for call in it.sink.calls] == ["analysis", *["repair"] * 4]
    assert [(result.disposition, result.repairs) for result in by_index(it)] == [(Disposition.STORED, 1)] * 4


async def test_a_refusal_is_one_for_every_read_and_stored_with_none() -> None:
    it = await packed(3, [lambda payload: completion(payload, RIGHT, finish_reason="content_filter")]).finished()
    assert [(result.error_kind, result.raw_answer) for result in by_index(it)] == [("refused", None)] * 3
    assert sum(result.cost_usd for result in it.sink.results) == it.sink.calls[0].cost_usd
    assert len(it.llm.payloads) == 1


# ── when a request fails ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_failed_request_is_repeated_as_one() -> None:
    it = await packed(5, [LOST_REPLY, api_error(500, "oops")]).finished()
    assert sizes(it) == [5, 5, 5]
    assert [call.read_indices for call in it.sink.calls] == [list(range(5))] * 3
    assert [result.attempts for result in it.sink.results] == [1] * 5
    assert it.sink.calls[0].cost_usd == it.sink.calls[0].worst_case_usd
    assert it.throttle.outcomes() == ["unknown", "rejected", "answered"]
    assert it.engine.report().failures == 2


async def test_after_the_last_attempt_all_are_dead_letters() -> None:
    it = await packed(5, [chat_reply(200, {}, b"<html>", 0.1)] * MAX_UNATTRIBUTED * 3).finished()
    assert [(result.error_kind, result.attempts) for result in it.sink.results] == [("api_failed", 1)] * 5
    assert it.sink.states() == [CallState.POSSIBLY_BILLED] * MAX_UNATTRIBUTED * 3


async def test_a_429_costs_none_of_them_anything() -> None:
    it = await packed(5, [api_error(429, "on requests per minute (RPM): Limit 30, Used 30, Requested 1.")] * 4, max_attempts=1).finished()
    assert sizes(it) == [5] * 5
    assert [(result.disposition, result.attempts) for result in it.sink.results] == [(Disposition.STORED, 1)] * 5


async def test_a_request_that_is_too_large_comes_again_as_two_halves() -> None:
    too_large = api_error(413, "Request too large", "rate_limit_exceeded")
    it = await packed(5, [too_large, too_large]).finished()
    assert [call.read_indices for call in it.sink.calls] == [[0, 1, 2, 3, 4], [0, 1, 2], [0, 1], [2, 3], [4]]
    assert {call.kind for call in it.sink.calls} == {"analysis"}
    assert [(result.disposition, result.attempts, result.repairs) for result in it.sink.results] == [(Disposition.STORED, 1, 0)] * 5, (
        "no attempt is lost"
    )


async def test_once_a_limit_is_known_larger_requests_are_split_before_they_are_sent() -> None:
    def limited(payload: dict[str, Any]) -> ChatReply:
        want = it.throttle.wants[0]
        shown = str(want.prompt_tokens + want.max_completion_tokens - 1)
        return completion(payload, RIGHT, prompt_tokens=want.prompt_tokens, headers={"x-ratelimit-limit-tokens": shown})

    it = rig(
        [read(index) for index in range(12)],
        [limited],
        reads_per_request=4,
        requests_in_flight=1,
        batch_size=12,
    )
    await it.finish()
    assert sizes(it)[0] == 4
    assert max(sizes(it)[1:]) < 4, "nobody was refused to find out"
    assert {call.status for call in it.sink.calls} == {200}
    assert len(it.sink.results) == 12


async def test_of_a_rejected_request_each_read_is_asked_about_alone() -> None:
    it = await packed(3, [api_error(400, "no", "invalid_request"), api_error(400, "no")]).finished()
    assert sizes(it) == [3, 1, 1, 1]
    assert [(result.disposition, result.error_kind) for result in by_index(it)] == [
        (Disposition.DEAD_LETTER, "api_failed"),
        (Disposition.STORED, None),
        (Disposition.STORED, None),
    ]


# ── leases, permits and endings ──────────────────────────────────────────────────────────────────────────────────────────


async def _lose_lease(it: Rig) -> None:
    it.queue.lost = {"lease1"}
    await it.clock.advance(10.0)


async def test_reads_lost_before_sending_drop_out_and_the_rest_goes_on() -> None:
    it = rig([read(0)], closed=False, reads_per_request=4, requests_in_flight=1, batch_size=8)
    it.llm.hold()
    async with it.running():
        for pair in ((1, 2), (3, 4)):  # two leases, both ready when the slot becomes free
            it.queue.put(*map(read, pair))
            await it.settle_down()
        it.throttle.open.clear()
        it.llm.release()
        await it.settle_down()
        it.queue.lost = {"lease2"}
        await it.clock.advance(10.0)
        it.throttle.open.set()
        await it.settle_down()
        assert sizes(it) == [1, 2]
        assert it.engine.report().held == 0
    assert [call.read_indices for call in it.sink.calls] == [[0], [3, 4]]
    assert [result.read.read_index for result in by_index(it)] == [0, 3, 4]
    assert it.throttle.outcomes() == ["answered", "answered"]
    _, want = it.throttle.wants
    assert it.sink.calls[1].worst_case_usd == want.worst_case_usd, "what was reserved, not what it came down to"
    assert it.queue.nacked == []


async def test_when_all_are_lost_nothing_is_sent() -> None:
    it = packed(4, closed=False)
    it.throttle.open.clear()
    async with it.running():
        await _lose_lease(it)
        it.throttle.open.set()
        await it.settle_down()
        assert it.engine.report().held == 0
    assert (it.llm.payloads, it.throttle.outcomes()) == ([], ["not_sent"])


async def test_an_answer_is_stored_also_for_reads_whose_lease_was_lost_meanwhile() -> None:
    it = packed(4, closed=False)
    it.llm.hold()
    async with it.running():
        await _lose_lease(it)
        it.llm.release()
        await it.settle_down()
    assert len(it.sink.results) == 4


async def test_a_refusal_by_the_throttle_hands_all_back() -> None:
    it = packed(4)
    it.throttle.refusal = Refusal("budget", "used up")
    assert await it.finish() == "budget"
    assert sorted(it.queue.nacked) == [0, 1, 2, 3]
    assert it.sink.calls == []


async def test_a_refusal_by_the_provider_hands_all_back_once() -> None:
    it = packed(4, [api_error(401, "no such key", "invalid_api_key")])
    assert await it.finish() == "refused"
    assert sorted(it.queue.nacked) == [0, 1, 2, 3]
    assert len(it.throttle.stopped) == 1


async def test_a_drain_that_takes_too_long_cuts_off_requests_and_returns_all_their_reads() -> None:
    it = rig([read(index) for index in range(12)], reads_per_request=3, requests_in_flight=2, batch_size=6, closed=False)
    it.llm.hold()
    async with it.running() as run:
        draining = await it.begin_drain(5.0)
        await it.clock.advance(5.0)
        await it.settle_down()
        assert (await draining).returned == 12
        assert await run == "drained"
    assert sorted(it.queue.nacked) == list(range(12))
    assert it.sink.states() == [CallState.POSSIBLY_BILLED] * 2
    assert sorted(index for call in it.sink.calls for index in call.read_indices) == list(range(6))
    assert it.throttle.outcomes() == ["unknown"] * 2


async def test_resting_reads_are_handed_back_together() -> None:
    it = packed(4, [api_error(503, "over capacity", headers={"retry-after": "40"})], closed=False)
    async with it.running() as run:
        assert it.engine.report().in_flight == 0
        draining = await it.begin_drain(5.0)
        it.queue.close()
        await it.settle_down()
        assert (await draining).returned == 4
        assert await run == "drained"
    assert sorted(it.queue.nacked) == [0, 1, 2, 3]
