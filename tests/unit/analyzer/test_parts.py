"""The parts of the analysis engine, each alone."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import cast

import pytest

from fix_analyzer import ToldApart
from helix_ray.analyzer.answering import RequestSlots
from helix_ray.analyzer.leased_reads import LeasedReads, ReadTask
from helix_ray.analyzer.permit_client import PermitClient
from helix_ray.analyzer.read_results import ResultMaker
from helix_ray.analyzer.request_cycle import RequestCycle
from helix_ray.analyzer.retry_policy import AGAIN, DROP, ReadOutcomes
from helix_ray.analyzer.sink_client import MAX_BYTES, MAX_WRITES, RequestRecords, ResultOutbox
from helix_ray.queueing.messages import Lease
from helix_ray.records import ApiCall, CallState, Disposition, Intent, Read, ReadBatch, ReadResult, Receipt, Refused
from helix_ray.throttle.messages import AcquireReply, Permit, PermitRequest, Settlement
from support.manual_clock import ManualClock, turns


def read(index: int, length: int = 10) -> Read:
    return Read(index, f"hx{index}", "c", 0, "+", "A" * length, "A" * length, None, (), True, None, None, None)


def lease(name: str, *indices: int) -> Lease:
    return Lease(name, 1, 120.0, ReadBatch.from_rows([read(index) for index in indices]), [0.0] * len(indices), [1] * len(indices))


def api_call(number: int) -> ApiCall:
    return ApiCall(str(number), "analysis", 1, [number], CallState.FAILED, 429, "m")


class SlowThrottle(ToldApart):
    """Answers each acquire when told."""

    def __init__(self) -> None:
        super().__init__()
        self.acquires: list[tuple[list[PermitRequest], asyncio.Future[AcquireReply]]] = []
        self.settlements: list[list[Settlement]] = []
        self.withdrawn: list[str] = []

    async def acquire(self, wants: list[PermitRequest]) -> AcquireReply:
        future: asyncio.Future[AcquireReply] = asyncio.get_running_loop().create_future()
        self.acquires.append((wants, future))
        return await future

    async def withdraw(self, want_ids: list[str]) -> None:
        self.withdrawn += want_ids

    async def settle(self, settlements: list[Settlement]) -> None:
        self.settlements.append(settlements)

    async def stop(self, message: str) -> None:
        raise AssertionError(message)


def want(name: str) -> PermitRequest:
    return PermitRequest(name, 700, 512, Decimal("0.001"))


def grant(*names: str) -> AcquireReply:
    return AcquireReply([Permit(name, f"p-{name}", 60.0) for name in names], None)


async def test_whoever_asks_while_a_question_is_out_joins_the_next_one() -> None:
    throttle = SlowThrottle()
    client = PermitClient(throttle, ManualClock())
    pump = asyncio.create_task(client.run())
    first, second = asyncio.create_task(client.acquire(want("a"))), asyncio.create_task(client.acquire(want("b")))
    await turns()
    third = asyncio.create_task(client.acquire(want("c")))
    await turns()
    assert [[item.want_id for item in wants] for wants, _ in throttle.acquires] == [["a", "b"]]
    throttle.acquires[0][1].set_result(grant("a"))
    await turns()
    assert await first == Permit("a", "p-a", 60.0)
    assert [item.want_id for item in throttle.acquires[1][0]] == ["b", "c"]  # b keeps its place
    throttle.acquires[1][1].set_result(grant("b", "c"))
    await asyncio.gather(second, third)
    pump.cancel()


async def test_a_permit_for_someone_who_is_gone_is_returned_unused() -> None:
    throttle = SlowThrottle()
    client = PermitClient(throttle, ManualClock())
    pump = asyncio.create_task(client.run())
    waiting = asyncio.create_task(client.acquire(want("a")))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    throttle.acquires[0][1].set_result(grant("a"))
    await client.flush()
    await turns()
    assert throttle.withdrawn == ["a"]
    assert throttle.settlements == [[Settlement("p-a", "not_sent")]]
    pump.cancel()


async def test_a_permit_that_arrives_together_with_the_cancellation_is_returned() -> None:
    throttle = SlowThrottle()
    client = PermitClient(throttle, ManualClock(), linger_s=0.0)
    pump = asyncio.create_task(client.run())
    waiting = asyncio.create_task(client.acquire(want("a")))
    await turns()
    throttle.acquires[0][1].set_result(grant("a"))
    while client._waiting:  # noqa: ASYNC110  (stops at the very turn in which the grant is there and not yet taken)
        await asyncio.sleep(0)
    waiting.cancel()
    await turns()
    assert waiting.cancelled()
    assert throttle.settlements == [[Settlement("p-a", "not_sent")]]
    pump.cancel()


async def test_settlements_say_how_long_ago_the_request_was_sent() -> None:
    clock, throttle = ManualClock(), SlowThrottle()
    client = PermitClient(throttle, clock)
    sent_at = clock.monotonic()
    clock.tick(3.0)
    client.settle(Settlement("p1", "answered"), sent_at)
    client.settle(Settlement("p2", "not_sent"))
    pump = asyncio.create_task(client.run())
    await client.flush()
    assert [[item.sent_at_age_s for item in batch] for batch in throttle.settlements] == [[3.0, 0.0]]
    pump.cancel()


class CountingSink:
    def __init__(self) -> None:
        self.writes: list[tuple[int, int]] = []
        self.open = asyncio.Event()
        self.outstanding = 0
        self.max_outstanding = 0

    async def intend(self, intents: Sequence[Intent], receipts: Sequence[Receipt]) -> list[Refused]:
        return []

    async def write(self, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> None:
        self.outstanding += 1
        self.max_outstanding = max(self.max_outstanding, self.outstanding)
        await self.open.wait()
        self.outstanding -= 1
        self.writes.append((len(results), len(calls)))


async def test_writes_are_bounded_in_size_and_number() -> None:
    sink = CountingSink()
    committed: list[int] = []
    outbox = ResultOutbox(sink, ManualClock(), committed.extend, linger_s=0.0)
    for index in range(2000):
        outbox.add(ReadResult(read(index, 500), Disposition.STORED))
        outbox.add(api_call(index))
    pump = asyncio.create_task(outbox.run())
    await turns()
    assert sink.outstanding == MAX_WRITES
    assert outbox.unsaved == 2000
    sink.open.set()
    await outbox.flush()
    assert sink.max_outstanding == MAX_WRITES
    assert max(results for results, _ in sink.writes) <= MAX_BYTES // 1500 + 1
    assert (sum(results for results, _ in sink.writes), sum(calls for _, calls in sink.writes)) == (2000, 2000)
    assert (outbox.unsaved, sorted(committed)) == (0, list(range(2000)))
    pump.cancel()


async def test_calls_are_written_without_results_too() -> None:
    sink = CountingSink()
    sink.open.set()
    outbox = ResultOutbox(sink, ManualClock(), lambda _: None, linger_s=0.0)
    pump = asyncio.create_task(outbox.run())
    outbox.add(api_call(1))
    await outbox.flush()
    assert sink.writes == [(0, 1)]
    pump.cancel()


async def test_results_linger_to_travel_together() -> None:
    sink, clock = CountingSink(), ManualClock()
    sink.open.set()
    outbox = ResultOutbox(sink, clock, lambda _: None, linger_s=0.02)
    pump = asyncio.create_task(outbox.run())
    outbox.add(ReadResult(read(0), Disposition.STORED))
    await clock.until_sleeping()
    outbox.add(ReadResult(read(1), Disposition.STORED))
    await clock.advance(0.02)
    await outbox.flush()
    assert sink.writes == [(2, 0)]
    pump.cancel()


def test_a_lease_is_held_until_its_last_read_is_committed_or_returned() -> None:
    held = LeasedReads()
    jobs = held.accept(lease("l1", 1, 2, 3))
    assert held.held == 3
    held.finish(jobs[0])
    held.commit([1])
    held.give_back(jobs[1])
    assert (held.held, held.lease_ids()) == (1, ["l1"])
    assert held.take_returns() == [("l1", 1, [2])]
    assert not held.has_returns
    held.finish(jobs[2])
    held.commit([3])
    assert (held.held, held.lease_ids()) == (0, [])
    held.commit([3, 99])


def test_a_read_that_comes_again_moves_to_its_new_lease() -> None:
    held = LeasedReads()
    (job,) = held.accept(lease("l1", 1))
    held.lose(["l1", "unknown"])
    assert job.lost
    assert held.accept(lease("l2", 1)) == []
    assert not job.lost
    assert (held.held, held.lease_ids()) == (1, ["l2"])
    held.give_back(job)
    assert held.take_returns() == [("l2", 1, [1])]
    assert (held.held, held.lease_ids()) == (0, [])


def test_a_lost_read_is_not_returned() -> None:
    held = LeasedReads()
    (job,) = held.accept(lease("l1", 1))
    held.lose(["l1"])
    held.give_back(job)
    assert held.take_returns() == []
    assert held.held == 0


class NeverAsked:
    """A request cycle that never gets to its request."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.permits = PermitClient(SlowThrottle(), self.clock)
        self.results = ResultMaker("m")
        self.log = SimpleNamespace(records=RequestRecords(CountingSink(), self.clock))

    async def run(self, tasks: list[ReadTask]) -> ReadOutcomes:
        raise AssertionError(tasks)


def slots_of(limit: int) -> RequestSlots:
    """Of two reads a request."""
    return RequestSlots(cast(RequestCycle, NeverAsked()), limit, 2, lambda _: None)


async def test_a_request_that_is_cut_off_before_it_began_gives_its_reads_back() -> None:
    reads = LeasedReads().accept(lease("l1", 1, 2, 3))
    slots = slots_of(1)
    async with asyncio.TaskGroup() as group:
        (pump,) = slots.start(group)
        slots.take(reads)
        assert slots.flow().in_flight == 1
        assert await slots.abandon() == reads[:2]
        assert slots.stop() == reads[2:]
        assert not slots.busy
        pump.cancel()


async def test_reads_that_come_again_come_first_and_repairs_alone() -> None:
    reads = LeasedReads().accept(lease("l1", 1, 2, 3, 4, 5))
    slots = slots_of(4)
    slots.take(reads[3:])
    reads[1].max_batch = 1
    slots._follow([(read, AGAIN) for read in reads[:3]])
    async with asyncio.TaskGroup() as group:
        (pump,) = slots.start(group)
        asked = [[task.read.read_index for task in request] for request in slots._running.values()]
        assert asked == [[2], [1, 3], [4, 5]]
        await slots.abandon()
        pump.cancel()


async def test_a_lost_read_that_was_leased_again_meanwhile_is_asked_about_and_no_other() -> None:
    """Its request was made without it, and went on record while the new lease came."""
    reads = LeasedReads().accept(lease("l1", 1, 2))
    reads[1].lost = True
    dropped: list[ReadTask] = []
    slots = RequestSlots(cast(RequestCycle, NeverAsked()), 0, 2, lambda outcomes: dropped.extend(task for task, _ in outcomes))
    slots._follow([(read, DROP) for read in reads])
    assert (slots.stop(), dropped) == (reads[:1], reads[1:])
