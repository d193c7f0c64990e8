"""How much the engine holds, how its results travel, and every way in which its work ends."""

import asyncio
from collections.abc import Sequence
from typing import Literal

import pytest

from fix_analyzer import read, rig
from helix_ray.backends.chat import ChatReply
from helix_ray.records import ApiCall, CallState, DesiredState, ReadResult
from helix_ray.throttle.messages import AcquireReply, PermitRequest, Refusal
from support.scripted_llm import api_error

# ── how much is held and in flight ───────────────────────────────────────────────────────────────────────────────────────


async def test_leases_reach_into_free_slots_plus_one_batch() -> None:
    it = rig([read(index) for index in range(40)], requests_in_flight=4, batch_size=6)
    it.llm.hold()
    async with it.running():
        assert it.llm.in_flight == 4
        assert it.engine.report().held == 10
        it.llm.release()
        await it.settle_down()
    assert it.llm.max_in_flight == 4
    assert max(it.queue.asked) == 10
    assert sorted(result.read.read_index for result in it.sink.results) == list(range(40))


async def test_requests_in_flight_can_be_raised_and_lowered_live() -> None:
    it = rig([read(index) for index in range(100)], requests_in_flight=2, batch_size=8)
    it.llm.hold()
    async with it.running():
        assert it.llm.in_flight == 2
        it.engine.apply(DesiredState(requests_in_flight=6))
        await it.settle_down()
        assert it.llm.in_flight == 6
        it.engine.apply(DesiredState(requests_in_flight=1))
        await it.settle_down()
        assert it.llm.in_flight == 6  # what is out is left to end
        it.llm.release()
        it.llm.max_in_flight = 0
        it.llm.hold()
        await it.settle_down()
        assert it.llm.in_flight == 1
        assert it.llm.max_in_flight <= 5  # while the six came back


async def test_what_the_api_bears_bounds_the_requests_in_flight() -> None:
    it = rig([read(index) for index in range(200)], requests_in_flight=6, batch_size=8)
    it.llm.hold()
    async with it.running():
        assert it.llm.in_flight == 6
        for limit, in_flight in ((2, 2), (0, 1), (4, 4), (100, 6), (3, 3), (None, 6)):
            it.throttle.concurrency = limit
            it.llm.release()  # six are answered, and the next ones ask
            it.llm.hold()
            await it.settle_down()
            it.llm.release()
            it.llm.hold()
            await it.settle_down()
            assert (it.llm.in_flight, it.engine.report().slots) == (in_flight, in_flight), limit
            assert it.engine.report().requests_in_flight == 6
        it.llm.release()


async def test_nothing_is_leased_while_the_sink_falls_behind() -> None:
    it = rig([read(index) for index in range(3000)], backend=False, batch_size=50)
    it.sink.open.clear()
    async with it.running():
        unsaved = it.engine.report().unsaved
        assert 1000 <= unsaved <= 1000 + 4 + 50
        assert len(it.queue.waiting) == 3000 - unsaved


async def test_wants_and_settlements_travel_together() -> None:
    it = rig([read(index) for index in range(8)], requests_in_flight=8, batch_size=8)
    calls: list[int] = []
    acquire = it.throttle.acquire

    async def counted(wants: list[PermitRequest]) -> AcquireReply:
        calls.append(len(wants))
        return await acquire(wants)

    it.throttle.acquire = counted  # type: ignore[method-assign]
    await it.finish()
    assert calls == [8]


# ── results on their way ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_result_is_kept_until_the_sink_took_it() -> None:
    it = rig([read(0)])
    it.sink.failures = [ConnectionError("gone"), ConnectionError("gone")]
    await it.finish()
    assert it.sink.writes == 3
    assert len(it.sink.results) == 1
    assert len(it.llm.payloads) == 1


async def test_leases_are_kept_alive_until_the_commit() -> None:
    it = rig([read(0)], closed=False)
    it.sink.open.clear()
    async with it.running():
        assert it.engine.report().unsaved == 1
        await it.clock.advance(25.0)
        assert it.queue.extended == [["lease1"], ["lease1"]]
        it.sink.open.set()
        await it.settle_down()
        await it.clock.advance(25.0)
        assert it.queue.extended == [["lease1"], ["lease1"]]


async def test_a_lost_lease_costs_what_was_not_sent_and_no_paid_answer() -> None:
    it = rig([read(index) for index in range(3)], requests_in_flight=1, batch_size=3, closed=False)
    it.llm.hold()
    async with it.running():
        it.queue.lost = {"lease1"}
        await it.clock.advance(10.0)
        it.llm.release()
        await it.settle_down()
        assert [result.read.read_index for result in it.sink.results] == [0]
        assert it.engine.report().held == 0
    assert it.queue.nacked == []


async def test_a_lease_lost_while_waiting_for_a_permit_sends_nothing() -> None:
    it = rig([read(0)], closed=False)
    it.throttle.open.clear()
    async with it.running():
        it.queue.lost = {"lease1"}
        await it.clock.advance(10.0)
        it.throttle.open.set()
        await it.settle_down()
        assert it.llm.payloads == []
        assert it.throttle.outcomes() == ["not_sent"]


async def test_a_read_that_comes_again_while_it_is_worked_on_is_not_asked_twice() -> None:
    it = rig([read(0)], closed=False)
    it.llm.hold()
    async with it.running():
        it.queue.lost = {"lease1"}
        await it.clock.advance(10.0)
        it.queue.put(read(0))
        await it.settle_down()
        it.llm.release()
        await it.settle_down()
        assert len(it.llm.payloads) == 1
        assert len(it.sink.results) == 1


# ── how the work ends ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("reason", ["budget", "daily"])
async def test_out_of_budget_hands_everything_back_and_says_so(reason: Literal["budget", "daily"]) -> None:
    it = rig([read(index) for index in range(8)], closed=False)
    it.throttle.refusal = Refusal(reason, "0.99 of 1.00 USD are spent or reserved")
    assert await it.finish() == reason
    assert sorted(it.queue.nacked) == list(range(8))
    report = it.engine.report()
    assert (report.limited, report.refused, report.sink_error) == (reason, None, None)
    assert (it.llm.payloads, it.sink.results, it.throttle.stopped) == ([], [], [])
    assert it.engine.report().held == 0


@pytest.mark.parametrize(
    "refusal",
    [
        api_error(401, "Invalid API Key", "invalid_api_key"),
        api_error(403, "no"),
        api_error(404, "no such model", "model_not_found"),
        api_error(400, "spend limit", "blocked_api_access"),
        api_error(400, "gone", "model_decommissioned"),
    ],
)
async def test_a_refusal_for_good_stops_everyone(refusal: ChatReply) -> None:
    it = rig([read(index) for index in range(8)], [refusal], closed=False, requests_in_flight=1)
    assert await it.finish() == "refused"
    assert len(it.throttle.stopped) == 1
    assert f"HTTP {refusal.status}" in (it.engine.report().refused or "")
    assert sorted([*it.queue.nacked, *(waiting.read_index for waiting in it.queue.waiting)]) == list(range(8))
    assert it.sink.states()[0] is CallState.FAILED
    assert it.sink.results == []


async def test_what_another_analyzer_was_refused_stops_this_one() -> None:
    it = rig([read(0)], closed=False)
    it.throttle.refusal = Refusal("refused", "HTTP 401: Invalid API Key")
    assert await it.finish() == "refused"
    assert it.queue.nacked == [0]


async def test_pause_lets_requests_in_flight_end_and_starts_nothing() -> None:
    it = rig([read(index) for index in range(20)], requests_in_flight=2, batch_size=4)
    it.llm.hold()
    async with it.running() as run:
        it.engine.apply(DesiredState(1, paused=True))
        it.llm.release()
        await it.settle_down()
        assert len(it.sink.results) == 2
        asked = len(it.queue.asked)
        await it.settle_down()
        assert (len(it.llm.payloads), len(it.queue.asked)) == (2, asked)
        it.engine.apply(DesiredState(2, paused=False))
        await it.settle_down()
        assert run.done()
        assert run.result() == "closed"
    assert len(it.sink.results) == 20


async def test_pause_gives_up_the_places_in_the_throttles_line() -> None:
    it = rig([read(0)], closed=False)
    it.throttle.open.clear()
    async with it.running():
        it.engine.apply(DesiredState(1, paused=True))
        await it.settle_down()
        it.throttle.open.set()
        await it.settle_down()
        assert it.throttle.withdrawn == [it.throttle.wants[0].want_id]
        assert it.throttle.outcomes() == ["not_sent"]  # the grant crossed the withdrawal
        assert it.llm.payloads == []
        it.engine.apply(DesiredState(2))
        await it.settle_down()
        assert len(it.sink.results) == 1


async def test_ending_leases_no_more_and_finishes_what_is_held() -> None:
    it = rig([read(index) for index in range(20)], requests_in_flight=2, batch_size=4, closed=False)
    it.llm.hold()
    async with it.running() as run:
        it.engine.apply(DesiredState(1, ending="drain"))
        it.llm.release()
        await it.settle_down()
        assert run.result() == "ending"
    assert len(it.sink.results) + len(it.queue.waiting) == 20
    assert it.queue.nacked == []


async def test_a_drain_ends_requests_hands_back_the_rest_and_waits_for_commits() -> None:
    it = rig([read(index) for index in range(20)], requests_in_flight=2, batch_size=4, closed=False)
    it.llm.hold()
    async with it.running() as run:
        held = int(it.engine.report().held)
        draining = asyncio.create_task(it.engine.drain(20.0))
        await it.settle_down()
        assert not draining.done()
        assert len(it.queue.nacked) == held - 2
        it.llm.release()
        it.queue.close()
        await it.settle_down()
        reply = await draining
        assert (reply.returned, reply.unsaved) == (held - 2, 0)
        assert await run == "drained"
    assert len(it.sink.results) == 2
    again = await it.engine.drain(20.0)
    assert again.unsaved == 0


async def test_a_drain_cuts_off_what_takes_too_long_and_keeps_the_books() -> None:
    it = rig([read(0), read(1)], requests_in_flight=2)
    it.llm.hold()
    async with it.running() as run:
        draining = asyncio.create_task(it.engine.drain(5.0))
        await it.settle_down()
        await it.clock.advance(5.0)
        await it.settle_down()
        reply = await draining
        assert reply.returned == 2
        assert await run == "drained"
    assert sorted(it.queue.nacked) == [0, 1]
    assert it.sink.states() == [CallState.POSSIBLY_BILLED] * 2
    assert it.sink.calls[0].cost_usd == it.sink.calls[0].worst_case_usd
    assert it.throttle.outcomes() == ["unknown"] * 2
    assert it.sink.results == []


async def test_a_drain_withdraws_wants_and_wakes_resting_reads() -> None:
    it = rig([read(0)], [api_error(503, "over capacity", headers={"retry-after": "40"})], closed=False)
    async with it.running() as run:
        assert it.engine.report().held == 1
        draining = asyncio.create_task(it.engine.drain(5.0))
        await it.settle_down()
        it.queue.close()
        await it.settle_down()
        assert (await draining).returned == 1
        assert await run == "drained"
    assert it.queue.nacked == [0]


async def test_a_drain_without_its_sink_says_what_is_not_saved() -> None:
    it = rig([read(0)])
    it.sink.open.clear()
    async with it.running():
        draining = asyncio.create_task(it.engine.drain(5.0))
        await it.settle_down()
        await it.clock.advance(20.0)
        assert (await draining).unsaved == 1


async def test_a_drain_before_the_run_leaves_nothing_to_run() -> None:
    it = rig([read(0)])
    assert (await it.engine.drain(1.0)).returned == 0
    assert await it.finish() == "drained"
    assert (it.queue.asked, it.sink.results) == ([], [])


async def test_reads_that_arrive_after_the_drain_began_go_straight_back() -> None:
    it = rig([], closed=False)
    async with it.running():
        draining = asyncio.create_task(it.engine.drain(5.0))
        await it.settle_down()
        it.queue.put(read(0))
        await it.settle_down()
        await draining
    assert it.queue.nacked == [0]
    assert it.llm.payloads == []


async def test_a_defect_is_not_swallowed() -> None:
    it = rig([read(0)])

    async def broken(results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> None:
        raise KeyError("a defect")

    it.sink.write = broken  # type: ignore[method-assign]
    with pytest.raises(BaseExceptionGroup):
        await it.finish()
