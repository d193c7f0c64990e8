"""The queue actor's waiting, on the event loop alone: no Ray, no heartbeat."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from helix_ray.actors.queue import QueueActor
from helix_ray.config import QueueConfig
from helix_ray.queueing.messages import LeaseReply, PutReply
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import ReadBatch
from support.list_source import sample_reads
from support.manual_clock import ManualClock

CONFIG = QueueConfig(capacity=20, low_watermark=5, lease_timeout_s=60.0)


class QuietQueue(QueueActor):
    async def _beat(self) -> None:
        """Nobody to report to."""


def batch(start: int, count: int = 10) -> ReadBatch:
    return ReadBatch.from_rows(sample_reads(count, start))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def queue(clock: ManualClock) -> AsyncIterator[QuietQueue]:
    actor = QuietQueue(CONFIG, clock)
    await actor.open(IndexRanges(), 1)
    yield actor
    for task in actor._tasks:
        task.cancel()
    await asyncio.gather(*actor._tasks, return_exceptions=True)


async def blocked(queue: QueueActor, count: int) -> None:
    while True:
        if (await queue.stats()).blocked_now >= count:
            return
        await asyncio.sleep(0)


async def test_a_put_blocks_until_the_low_watermark_and_then_the_first_goes_first(queue: QuietQueue) -> None:
    await queue.put(0, batch(0, 20))
    puts = []
    for number in range(1, 4):
        puts.append(asyncio.create_task(queue.put(0, batch(100 * number, 10), 30.0)))
        await blocked(queue, number)
    assert (await queue.lease("a", 14)).status == "granted"
    assert not any(put.done() for put in puts)
    await queue.lease("b", 1)  # 5 are left: the low watermark
    assert await puts[0] == PutReply("admitted", await queue.ping(), 10)
    assert [put.done() for put in puts] == [True, False, False]
    stats = await queue.stats()
    assert (stats.waiting, stats.blocked_now, stats.blocked_puts) == (20, 2, 3)
    await queue.close_input()
    replies = await asyncio.gather(*puts[1:])
    assert [(reply.status, reply.admitted) for reply in replies] == [("closed", 5), ("closed", 0)]
    assert (await queue.put(0, batch(900))).status == "closed"


async def test_a_put_that_finds_no_room_in_time_answers_full_and_may_be_repeated(queue: QuietQueue) -> None:
    assert (await queue.put(0, batch(0, 25), 0.01)) == PutReply("full", await queue.ping(), 20)
    assert (await queue.put(0, batch(0, 25), 0.01)) == PutReply("full", await queue.ping(), 0)
    await queue.lease("a", 20)
    assert (await queue.put(0, batch(0, 25), 0.01)) == PutReply("admitted", await queue.ping(), 5)
    assert (await queue.stats()).admitted == 25


async def test_the_same_batch_waiting_twice_is_admitted_once(queue: QuietQueue) -> None:
    await queue.put(0, batch(0, 20))
    puts = [asyncio.create_task(queue.put(0, batch(100), 30.0)) for _ in range(2)]  # a ghost and its retry
    await blocked(queue, 2)
    await queue.lease("a", 20)
    assert [reply.admitted for reply in await asyncio.gather(*puts)] == [10, 0]


async def test_before_it_is_opened_puts_answer_full_and_leases_empty() -> None:
    queue = QuietQueue(CONFIG)
    assert (await queue.put(0, batch(0), 0.01)).status == "full"
    assert (await queue.lease("a", 5, 0.01)).status == "empty"
    assert not (await queue.done_ranges()).opened
    assert (await queue.stats()).gate_closed


async def test_acks_that_come_before_the_opening_count(clock: ManualClock) -> None:
    queue = QuietQueue(CONFIG, clock)
    await queue.ack([3])
    await queue.open(IndexRanges([(0, 2)]), 1)
    await queue.open(IndexRanges([(0, 2)]), 1)
    assert [*(await queue.done_ranges()).ranges] == [(0, 2), (3, 4)]
    assert (await queue.put(0, batch(0, 5))).admitted == 2
    for task in queue._tasks:
        task.cancel()


async def test_a_waiting_lease_gets_the_next_reads_first_come_first_served(queue: QuietQueue) -> None:
    leases = [asyncio.create_task(queue.lease(holder, 6, 30.0)) for holder in "abc"]
    await asyncio.sleep(0)
    await queue.put(0, batch(0, 10))
    first, second = await asyncio.gather(*leases[:2])
    assert first.lease is not None
    assert second.lease is not None
    assert (first.lease.batch.read_index, second.lease.batch.read_index) == (list(range(6)), [6, 7, 8, 9])
    assert not leases[2].done()
    await queue.nack("a", first.lease.lease_id, first.lease.fence, [5])
    third = await leases[2]
    assert third.lease is not None
    assert third.lease.batch.read_index == [5]


async def test_a_waiting_lease_learns_of_the_end(queue: QuietQueue) -> None:
    await queue.put(0, batch(0, 3))
    lease = (await queue.lease("a", 3)).lease
    assert lease is not None
    waiting = asyncio.create_task(queue.lease("b", 3, 30.0))
    await queue.finish_input(0, 3)
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await queue.ack([0, 1, 2]) == 3
    assert (await waiting).status == "closed"
    assert (await queue.stats()).total_reads == 3


async def test_closing_leases_answers_everyone_and_keeps_the_reads(queue: QuietQueue) -> None:
    waiting = asyncio.create_task(queue.lease("b", 3, 30.0))
    await asyncio.sleep(0)
    await queue.close_leases()
    assert (await waiting).status == "closed"
    await queue.put(0, batch(0, 3))
    assert (await queue.lease("a", 3)).status == "closed"
    assert (await queue.stats()).waiting == 3


async def test_a_released_holder_gets_nothing_that_it_still_waits_for(queue: QuietQueue) -> None:
    await queue.put(0, batch(0, 3))
    lease = (await queue.lease("dead", 3)).lease
    assert lease is not None
    ghost = asyncio.create_task(queue.lease("dead", 3, 30.0, lease.lease_id))
    await asyncio.sleep(0)
    assert await queue.release("dead") == 3
    assert await ghost == LeaseReply("empty", await queue.ping(), None)
    assert (await queue.stats()).redelivered == 3


async def test_what_a_caller_that_gave_up_was_granted_comes_back_with_its_next_call(queue: QuietQueue, clock: ManualClock) -> None:
    await queue.put(0, batch(0, 8))
    began, kept = clock.monotonic(), (await queue.lease("a", 3)).lease
    assert kept is not None
    ghost = (await queue.lease("a", 3, received=kept.lease_id)).lease  # the caller never sees it
    assert ghost is not None
    again = (await queue.lease("a", 8, received=kept.lease_id)).lease
    assert again is not None
    assert again.batch.read_index == [3, 4, 5, 6, 7]
    assert await queue.extend("a", [kept.lease_id, ghost.lease_id, again.lease_id]) == [ghost.lease_id]
    assert clock.monotonic() == began


async def test_a_caller_that_asks_again_gets_what_its_forgotten_call_still_waits_for(queue: QuietQueue) -> None:
    forgotten = asyncio.create_task(queue.lease("a", 3, 30.0))
    await asyncio.sleep(0)
    asked_again = asyncio.create_task(queue.lease("a", 3, 30.0))
    assert (await forgotten).status == "empty"
    await queue.put(0, batch(0, 3))
    assert (await asked_again).status == "granted"


async def test_an_overdue_lease_comes_back_by_itself_to_who_waits(queue: QuietQueue, clock: ManualClock) -> None:
    await queue.put(0, batch(0, 3))
    await queue.lease("slow", 3)
    waiting = asyncio.create_task(queue.lease("b", 3, 30.0))
    await asyncio.sleep(0)
    await clock.advance(59.0)
    assert not waiting.done()
    await clock.advance(2.0)
    lease = (await waiting).lease
    assert lease is not None
    assert lease.deliveries == [2, 2, 2]


async def test_an_extended_lease_stays(queue: QuietQueue, clock: ManualClock) -> None:
    await queue.put(0, batch(0, 3))
    lease = (await queue.lease("a", 3)).lease
    assert lease is not None
    await clock.advance(50.0)
    assert await queue.extend("a", [lease.lease_id]) == []
    await clock.advance(50.0)
    assert (await queue.stats()).leased == 3


async def test_a_cancelled_put_leaves_the_line(queue: QuietQueue) -> None:
    await queue.put(0, batch(0, 20))
    put = asyncio.create_task(queue.put(0, batch(100), 30.0))
    await blocked(queue, 1)
    put.cancel()
    await asyncio.gather(put, return_exceptions=True)
    assert (await queue.stats()).blocked_now == 0
    await queue.lease("a", 20)
    assert (await queue.stats()).waiting == 0


async def test_a_ping_raises_what_ended_a_background_task(clock: ManualClock) -> None:
    class Broken(QueueActor):
        async def _beat(self) -> None:
            raise RuntimeError("the heart stopped")

    queue = Broken(CONFIG, clock)
    await queue.open(IndexRanges(), 1)
    await clock.until_sleeping()
    with pytest.raises(RuntimeError, match="heart"):
        await queue.ping()
    for task in queue._tasks:
        task.cancel()
