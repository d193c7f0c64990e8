"""What each way in which the API says no does to its read, and what it does not."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from fix_analyzer import RIGHT, Rig, read, rig
from helix_ray.analysis.prompts import opaque_id
from helix_ray.analyzer.leased_reads import ReadTask
from helix_ray.analyzer.retry_policy import MAX_UNATTRIBUTED, Attempts
from helix_ray.backends.chat import TransportFailure
from helix_ray.records import CallState, Disposition, ReadResult
from helix_ray.throttle.messages import AcquireReply, Permit, PermitRequest
from support.scripted_llm import Reply, api_error, chat_reply, completion, prompted_ids

FAILED = api_error(500, "oops", "internal_server_error")
REFUSED = TransportFailure("not_sent", "connect", "cannot connect: Connection refused")
LOST = TransportFailure("unknown", "reset", "the connection broke", 0.2)
NO_CAPACITY = api_error(498, "no room", "capacity_exceeded")
OVERLOADED = api_error(503, "over capacity")
BUSY = api_error(429, "on tokens per minute (TPM): Limit 8000, Used 7739, Requested 1108. Please try again in 6.3525s.")
INVALID_JSON = api_error(400, "Failed to generate JSON.", "json_validate_failed")


def only(it: Rig) -> ReadResult:
    (result,) = it.sink.results
    return result


def failing_for(index: int, reply: Reply) -> Callable[[dict[str, Any]], Reply]:
    """Every other read is answered."""
    poisoned = opaque_id("run", index)
    return lambda payload: reply if poisoned in prompted_ids(payload) else completion(payload, RIGHT)


# ── what spends an attempt ───────────────────────────────────────────────────────────────────────────────────────────────


def job() -> ReadTask:
    return ReadTask(read(0), "lease", 0.0)


def test_a_failure_counts_once_another_request_sent_since_the_last_one_was_answered() -> None:
    attempts, mine = Attempts(2), job()
    first = attempts.sent()
    other = attempts.sent()
    assert not attempts.failed(mine, spends=True)
    assert (mine.failures, mine.unattributed_failures) == (0, 1)
    attempts.answered(other)  # sent before the failure: it may be older than an outage
    attempts.answered(first)
    assert not attempts.failed(mine, spends=True)
    assert (mine.failures, mine.unattributed_failures) == (0, 2)
    attempts.answered(attempts.sent())
    assert not attempts.failed(mine, spends=True)
    assert (mine.failures, mine.unattributed_failures) == (1, 2)
    attempts.answered(attempts.sent())
    assert attempts.failed(mine, spends=True)
    assert mine.failures == 2


def test_what_never_spends_an_attempt_never_does() -> None:
    attempts, mine = Attempts(1), job()
    for _ in range(100):
        attempts.answered(attempts.sent())
        assert not attempts.failed(mine, spends=False)
    assert (mine.failures, mine.unattributed_failures, mine.rests) == (0, 0, 100)


def test_what_nobody_can_tell_from_an_outage_ends_all_the_same() -> None:
    attempts, mine = Attempts(2), job()
    assert [attempts.failed(mine, spends=True) for _ in range(2 * MAX_UNATTRIBUTED)] == [False] * (2 * MAX_UNATTRIBUTED - 1) + [True]


@pytest.mark.parametrize("failure", [FAILED, LOST, chat_reply(200, {}, b"", 0.1), api_error(408, "slow")])
async def test_a_read_that_fails_while_others_are_answered_is_given_up_after_its_attempts(failure: Reply) -> None:
    it = rig([read(0)], otherwise=failing_for(0, failure), closed=False, max_attempts=3)
    async with it.running():
        for index in range(1, 60):
            it.queue.put(read(index))
            await it.clock.advance(1.0)
            await it.settle_down()
    dead = [result for result in it.sink.results if result.disposition is Disposition.DEAD_LETTER]
    (result,) = dead
    assert (result.read.read_index, result.error_kind, result.attempts) == (0, "api_failed", 3)
    tried = [call.attempt for call in it.sink.calls if call.read_indices == [0]]
    assert tried[0] == tried[1] == 1, "the first failure proves nothing"
    assert tried == sorted(tried)
    assert tried[-1] == 3
    assert len(it.sink.results) == 60
    assert result.raw_answer is None


@pytest.mark.parametrize("outage", [REFUSED, OVERLOADED, NO_CAPACITY, BUSY])
async def test_an_outage_of_any_length_spends_nothing(outage: Reply) -> None:
    it = await rig([read(0)], [outage] * 15, max_attempts=1).finished()
    assert (only(it).disposition, only(it).attempts) == (Disposition.STORED, 1)
    assert {call.attempt for call in it.sink.calls} == {1}
    assert len(it.llm.payloads) == 16


async def test_an_outage_of_failures_spends_no_attempt_of_those_it_hits() -> None:
    it = await rig([read(index) for index in range(8)], [FAILED] * 16, max_attempts=3).finished()
    assert [(result.disposition, result.attempts) for result in it.sink.results] == [(Disposition.STORED, 1)] * 8


async def test_trouble_is_told_to_the_throttle_and_an_answer_is_none() -> None:
    it = await rig([read(0)], [NO_CAPACITY, OVERLOADED, FAILED, REFUSED, LOST, api_error(409, "no"), BUSY]).finished()
    troubles = [settlement.trouble for settlement in it.throttle.settlements]
    assert troubles == ["capacity", "overload", "failure", "failure", "failure", None, None, None]
    latencies = [settlement.latency_s for settlement in it.throttle.settlements]
    assert latencies == [0.1, 0.1, 0.1, None, 0.2, 0.1, 0.1, 0.1]


# ── rests ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_failing_read_rests_outside_the_slots_and_as_long_as_it_was_told() -> None:
    it = rig([read(0), read(1)], [api_error(503, "over capacity", headers={"retry-after": "40"})], requests_in_flight=1, closed=False)
    async with it.running():
        assert len(it.llm.payloads) == 2
        assert len(it.sink.results) == 1
        await it.clock.advance(39.0)
        await it.settle_down()
        assert len(it.llm.payloads) == 2
        await it.clock.advance(1.0)
        await it.settle_down()
    assert len(it.sink.results) == 2


async def test_what_is_unprocessable_is_tried_once_more() -> None:
    saved = await rig([read(0)], [api_error(422, "verify")]).finished()
    assert (only(saved).disposition, len(saved.llm.payloads)) == (Disposition.STORED, 2)
    lost = await rig([read(0)], [api_error(422, "verify")] * 2).finished()
    assert (only(lost).error_kind, len(lost.llm.payloads)) == ("api_failed", 2)
    assert "HTTP 422" in (only(lost).error or "")


@pytest.mark.parametrize("status", [400, 405, 424])
async def test_what_will_never_be_served_is_a_dead_letter_at_once(status: int) -> None:
    it = await rig([read(0)], [api_error(status, "no such parameter")]).finished()
    assert (only(it).error_kind, only(it).attempts, len(it.llm.payloads)) == ("api_failed", 1, 1)
    assert only(it).raw_answer is None


# ── a request that is too large ──────────────────────────────────────────────────────────────────────────────────────────


TOO_LARGE = api_error(413, "Request too large on tokens per minute (TPM): Limit 300, Requested 900, please reduce", "rate_limit_exceeded")


async def test_a_single_read_gets_half_the_room_until_there_is_no_less() -> None:
    it = await rig([read(0)], [TOO_LARGE] * 10, max_completion_tokens=400).finished()
    asked = [payload["max_completion_tokens"] for payload in it.llm.payloads]
    assert asked == sorted(set(asked), reverse=True), "never the same size again"
    assert (asked[0], asked[-1]) == (400, 64)
    assert (only(it).disposition, only(it).error_kind, only(it).outcome) == (
        Disposition.DEAD_LETTER,
        "request_too_large",
        "request_too_large",
    )
    assert "HTTP 413" in (only(it).error or "")
    limited = it.throttle.settlements[0].limited
    assert limited is not None
    assert limited.requested == 900


async def test_what_fits_with_less_room_is_answered() -> None:
    def small_enough(payload: dict[str, Any]) -> Reply:
        too_large = payload["max_completion_tokens"] > 100
        return api_error(413, "Request too large", "rate_limit_exceeded") if too_large else completion(payload, RIGHT)

    it = await rig([read(0)], otherwise=small_enough, max_completion_tokens=400).finished()
    assert [want.max_completion_tokens for want in it.throttle.wants] == [400, 200, 100]
    assert (only(it).disposition, only(it).attempts) == (Disposition.STORED, 1)
    assert [settlement.limited for settlement in it.throttle.settlements] == [None] * 3, "no limit is named, so none is waited for"


async def test_a_429_that_can_never_be_served_is_too_large() -> None:
    never = api_error(429, "on tokens per minute (TPM): Limit 7000, Used 0, Requested ~12903. Please try again in 50.597142857s")
    it = await rig([read(0)], [never], max_completion_tokens=400).finished()
    assert [payload["max_completion_tokens"] for payload in it.llm.payloads] == [400, 200]
    assert only(it).disposition is Disposition.STORED


# ── repairs that the provider asks for ───────────────────────────────────────────────────────────────────────────────────


async def test_json_that_could_not_be_generated_is_repaired_once_with_twice_the_room() -> None:
    it = await rig([read(0)], [INVALID_JSON], max_completion_tokens=100, max_attempts=1).finished()
    assert [(call.kind, call.attempt, call.status) for call in it.sink.calls] == [("analysis", 1, 400), ("repair", 1, 200)]
    assert [payload["max_completion_tokens"] for payload in it.llm.payloads] == [100, 200]
    assert (only(it).disposition, only(it).repairs, only(it).attempts) == (Disposition.STORED, 1, 1)
    lost = await rig([read(0)], [INVALID_JSON] * 2).finished()
    assert (only(lost).error_kind, only(lost).repairs, len(lost.llm.payloads)) == ("schema_error", 1, 2)
    assert lost.sink.states() == [CallState.FAILED] * 2
    assert only(lost).raw_answer is None


async def test_of_several_reads_each_is_repaired_alone() -> None:
    it = await rig([read(index) for index in range(3)], [INVALID_JSON], reads_per_request=3, requests_in_flight=1).finished()
    assert [(call.kind, call.read_indices) for call in it.sink.calls] == [
        ("analysis", [0, 1, 2]),
        ("repair", [0]),
        ("repair", [1]),
        ("repair", [2]),
    ]


# ── tiers and permits ────────────────────────────────────────────────────────────────────────────────────────────────────


def tiers(it: Rig, tier: str) -> None:
    """The throttle gives ``auto`` a place in this tier, and every other want the one that it names."""

    async def acquire(wants: list[PermitRequest]) -> AcquireReply:
        it.throttle.wants += wants
        grants = []
        for want in wants:
            given = tier if want.service_tier == "auto" else want.service_tier
            grants.append(Permit(want.want_id, f"e1-{len(it.throttle.wants)}", 120.0, "flex" if given == "flex" else "on_demand"))
        return AcquireReply(grants, None)

    it.throttle.acquire = acquire  # type: ignore[method-assign]


@pytest.mark.parametrize(("asked", "given"), [("on_demand", "on_demand"), ("flex", "flex"), ("auto", "flex"), ("auto", "on_demand")])
async def test_a_request_goes_at_the_tier_of_its_permit(asked: str, given: str) -> None:
    it = rig([read(0)], service_tier=asked)
    tiers(it, given)
    await it.finish()
    assert [want.service_tier for want in it.throttle.wants] == [asked]
    assert it.llm.payloads[0]["service_tier"] == given
    assert it.sink.calls[0].service_tier == given
    assert only(it).service_tier == "on_demand", "what the answer says"


async def test_without_a_word_in_the_answer_the_tier_is_the_one_that_was_asked_for() -> None:
    def silent(payload: dict[str, Any]) -> Reply:
        reply = completion(payload, RIGHT)
        return chat_reply(200, reply.headers, reply.body.replace(b'"service_tier": "on_demand"', b'"service_tier": null'), 0.1)

    it = rig([read(0)], otherwise=silent, service_tier="flex")
    tiers(it, "flex")
    await it.finish()
    assert only(it).service_tier == "flex"


async def test_without_room_in_the_flex_tier_it_waits_or_goes_on_demand() -> None:
    waits = rig([read(0)], [NO_CAPACITY] * 2, service_tier="flex", max_attempts=1)
    tiers(waits, "flex")
    await waits.finish()
    assert [payload["service_tier"] for payload in waits.llm.payloads] == ["flex"] * 3
    goes = rig([read(0)], [NO_CAPACITY], service_tier="flex", on_capacity_exceeded="on_demand", max_attempts=1)
    tiers(goes, "flex")
    await goes.finish()
    assert [payload["service_tier"] for payload in goes.llm.payloads] == ["flex", "on_demand"]
    assert [want.retry for want in goes.throttle.wants] == [False, False], "no failure"
    assert (only(goes).disposition, only(goes).attempts) == (Disposition.STORED, 1)


async def test_the_row_of_a_request_says_what_it_reserved_and_whose_permit_it_had() -> None:
    it = rig([read(0)], max_completion_tokens=100)
    tiers(it, "on_demand")
    await it.finish()
    (call,), (want,) = it.sink.calls, it.throttle.wants
    assert (call.prompt_estimate, call.max_completion_tokens) == (want.prompt_tokens, 100)
    assert call.worst_case_usd == want.worst_case_usd > Decimal(0)
    assert call.throttle_epoch == "e1"


async def test_a_permit_that_would_expire_under_its_request_is_not_used() -> None:
    it = rig([read(0)], request_timeout_s=60)
    acquire, seen = it.throttle.acquire, []

    async def late(wants: list[PermitRequest]) -> AcquireReply:
        reply = await acquire(wants)
        seen.append(len(wants))
        if len(seen) == 1:
            return AcquireReply([grant._replace(expires_in_s=0.0) for grant in reply.grants], None)
        return reply

    it.throttle.acquire = late  # type: ignore[method-assign]
    await it.finish()
    assert it.throttle.outcomes() == ["not_sent", "answered"]
    assert len(it.llm.payloads) == 1


# ── a refusal for good ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_first_refusal_stops_whatever_has_its_permit_and_was_not_sent() -> None:
    it = rig([read(index) for index in range(8)], otherwise=lambda payload: api_error(401, "no", "invalid_api_key"), requests_in_flight=8)
    it.llm.hold()
    first = it.throttle.acquire
    probed: list[PermitRequest] = []

    async def one_at_first(wants: list[PermitRequest]) -> AcquireReply:
        if not probed:
            probed.append(wants[0])
            return await first(wants[:1])
        it.throttle.wants += wants
        it.llm.release()  # the refusal and the permits arrive together
        return AcquireReply([Permit(want.want_id, f"p-{want.want_id}", 120.0) for want in wants], None)

    it.throttle.acquire = one_at_first  # type: ignore[method-assign]
    assert await it.finish() == "refused"
    assert len(it.llm.payloads) == 1
    assert sorted([*it.queue.nacked, *(waiting.read_index for waiting in it.queue.waiting)]) == list(range(8))
    assert len(it.throttle.stopped) == 1
    assert it.sink.results == []


async def test_retries_and_failures_are_counted_by_kind() -> None:
    it = await rig([read(0)], [FAILED, LOST, OVERLOADED, NO_CAPACITY, BUSY]).finished()
    assert [call.retry for call in it.sink.calls] == [False, True, True, True, True, True]
    report = it.engine.report()
    failed = report.failed
    assert failed == {"server": 1, "transport": 1, "overloaded": 1, "capacity": 1}
    assert (report.requests, report.resent, report.tier["on_demand"]) == (6, 5, 1)


async def test_a_request_that_never_left_is_no_retry() -> None:
    it = await rig([read(0)], [REFUSED, REFUSED]).finished()
    report = it.engine.report()
    assert (report.requests, report.resent, report.failed["transport"]) == (1, 1, 2)
