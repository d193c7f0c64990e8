"""No request leaves before it is on record."""

import asyncio
from collections.abc import Sequence
from typing import Any

from fix_analyzer import read, rig
from helix_ray.analyzer.sink_client import LINGER_S, RequestRecords
from helix_ray.errors import DatabaseLostError
from helix_ray.records import ApiCall, CallState, Intent, Receipt, Refused
from support.manual_clock import ManualClock, turns


async def test_a_request_is_sent_after_its_intent_is_committed() -> None:
    it = rig([read(index) for index in range(3)])
    it.sink.recording.clear()
    async with it.running():
        assert len(it.throttle.wants) == 3
        assert (it.llm.payloads, it.sink.calls) == ([], [])
        it.sink.recording.set()
        await it.settle_down()
        assert len(it.llm.payloads) == 3
    assert [call.state for call in it.sink.intended] == [CallState.INTENDED] * 3
    assert {call.call_id for call in it.sink.intended} == {call.call_id for call in it.sink.calls}
    for intent, end in zip(it.sink.intended, it.sink.calls, strict=True):
        assert (intent.worst_case_usd, intent.prompt_estimate, intent.throttle_epoch) == (
            end.worst_case_usd,
            end.prompt_estimate,
            end.throttle_epoch,
        )
        assert intent.worst_case_usd > 0
        assert (intent.finished_at, intent.status, intent.created_at) == (None, None, end.created_at)


async def test_a_permit_that_expired_while_the_database_was_away_is_not_used() -> None:
    it = rig([read(0)], request_timeout_s=60)
    it.sink.recording.clear()
    async with it.running() as run:
        await it.clock.advance(100.0)
        it.sink.recording.set()
        await it.settle_down()
        assert run.done()
    assert it.throttle.outcomes() == ["not_sent", "answered"]
    assert len(it.llm.payloads) == 1
    assert [(call.state, call.status) for call in it.sink.calls] == [(CallState.FAILED, None), (CallState.ANSWERED, 200)]
    assert it.sink.calls[0].cost_usd == 0


async def test_a_read_whose_lease_ended_while_the_database_was_away_is_left_to_its_next_holder() -> None:
    it = rig([read(0)], closed=False)
    it.sink.recording.clear()
    async with it.running():
        it.queue.put(read(1))
        await it.settle_down()
        assert len(it.throttle.wants) == 2
        it.queue.lost = {"lease1"}
        await it.clock.advance(11.0)
        it.sink.recording.set()
        await it.settle_down()
        assert it.engine.report().held == 0
    assert sorted(it.throttle.outcomes()) == ["answered", "not_sent"]
    assert len(it.llm.payloads) == 1
    assert [result.read.read_index for result in it.sink.results] == [1]
    assert sorted((call.read_indices, call.state) for call in it.sink.calls) == [([0], CallState.FAILED), ([1], CallState.ANSWERED)]


async def test_a_drain_while_the_database_is_away_leaves_a_row_that_costs_nothing() -> None:
    it = rig([read(0)])
    it.sink.recording.clear()
    async with it.running():
        draining = await it.begin_drain(1.0)
        await it.clock.advance(2.0)
        await it.settle_down()
        await draining
    assert it.llm.payloads == []
    assert it.throttle.outcomes() == ["not_sent"]
    assert [(call.state, call.error_kind) for call in it.sink.calls] == [(CallState.FAILED, "abandoned")]
    assert it.queue.nacked == [0]


class SlowSink:
    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = asyncio.Event()
        self.failures: list[Exception] = []
        self.outstanding = self.most = 0

    async def intend(self, intents: Sequence[Intent], receipts: Sequence[Receipt]) -> list[Refused]:
        self.outstanding += 1
        self.most = max(self.most, self.outstanding)
        await self.open.wait()
        self.outstanding -= 1
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append([*(intent.call.call_id for intent in intents), *(receipt.call_id for receipt in receipts)])
        return []

    async def write(self, results: Sequence[Any], calls: Sequence[ApiCall]) -> None:
        raise AssertionError("intents are no writes")


def intent(name: str) -> Intent:
    return Intent(ApiCall(name, "analysis", 1, [1], CallState.INTENDED, None, "m"))


async def test_intents_that_come_during_a_write_share_the_next_one() -> None:
    sink, clock = SlowSink(), ManualClock()
    records = RequestRecords(sink, clock)
    tasks = [asyncio.create_task(records.intend(intent(name))) for name in "ab"]
    await turns()
    tasks += [asyncio.create_task(records.intend(intent(name))) for name in "cde"]
    await turns()
    tasks[3].cancel()
    await turns()
    assert not any(task.done() for task in tasks[:3])
    sink.open.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert sink.batches == [["a", "b"], ["c", "e"]]
    assert sink.most == 1


async def test_requests_wait_for_company_at_a_high_rate_only() -> None:
    for every_s, groups in ((0.01, 24), (0.1, 40)):
        sink, clock = SlowSink(), ManualClock()
        sink.open.set()
        records = RequestRecords(sink, clock)
        for number in range(40):
            task = asyncio.create_task(records.intend(intent(f"i{number}")))
            await turns()
            assert task.done() or every_s == 0.01
            await clock.advance(every_s)
        assert len(sink.batches) <= groups


async def test_an_intent_that_could_not_be_written_is_written_again() -> None:
    sink, clock = SlowSink(), ManualClock()
    sink.open.set()
    sink.failures = [DatabaseLostError("away"), ConnectionError("gone")]
    records = RequestRecords(sink, clock)
    task = asyncio.create_task(records.intend(intent("a")))
    for _ in range(2):
        await clock.until_sleeping()
        assert not task.done()
        await clock.advance(1.0)
    await task
    assert sink.batches == [["a"]]


async def test_answers_travel_with_the_next_request_or_soon_by_themselves() -> None:
    sink, clock = SlowSink(), ManualClock()
    sink.open.set()
    records = RequestRecords(sink, clock)
    records.received(Receipt("x", [1], clock.now(), 200, b"{}"))
    await turns()
    assert sink.batches == []
    await records.intend(intent("a"))
    await clock.advance(LINGER_S)
    assert sink.batches == [["a", "x"]]
    sink.failures = [DatabaseLostError("away")]
    records.received(Receipt("y", [1], clock.now(), 200, b"{}"))
    await clock.advance(LINGER_S)
    records.received(Receipt("z", [2], clock.now(), 200, b"{}"))
    await clock.advance(1.0)
    assert sink.batches == [["a", "x"], ["y", "z"]]


async def test_the_time_that_requests_wait_for_the_record_is_added_up() -> None:
    it = rig([read(index) for index in range(3)])
    it.sink.recording.clear()
    async with it.running():
        await it.clock.advance(2.0)
        assert it.engine.report().intent_wait_s == 6.0
        it.sink.recording.set()
        await it.settle_down()
        waited = it.engine.report().intent_wait_s
        await it.clock.advance(5.0)
        assert it.engine.report().intent_wait_s == waited
