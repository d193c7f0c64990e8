"""The producer's work against a real queue policy, without Ray."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.errors import InputError
from helix_ray.producer.engine import ProducerEnd, ProducerEngine, Share
from helix_ray.queueing.bounded_queue import BoundedQueue
from helix_ray.queueing.messages import DoneReply, PutReply
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import DesiredState, ReadBatch
from support.list_source import ListSource, sample_reads
from support.manual_clock import ManualClock


class LocalQueue:
    """A `QueuePort` on the policy itself. It can be replaced by a new, empty one, as a restart would."""

    def __init__(self, capacity: int = 500, done: list[tuple[int, int]] | None = None) -> None:
        self.capacity = capacity
        self.totals: list[int | None] = []
        self.puts: list[list[int]] = []
        self.on_put: Callable[[], None] = lambda: None
        self.on_finish: Callable[[], None] = lambda: None
        self.answered = asyncio.Event()
        self.restart("incarnation-1", done or [])

    def restart(self, incarnation: str, done: list[tuple[int, int]]) -> None:
        self.policy = BoundedQueue(self.capacity, 0, 120.0, incarnation)
        self.policy.open(IndexRanges(done), 1)

    async def put(self, batch: ReadBatch) -> PutReply:
        await asyncio.sleep(0)
        self.on_put()
        self.puts.append(list(batch.read_index))
        self.answered.set()
        if self.policy.input_closed:
            return PutReply("closed", self.policy.incarnation, 0)
        admitted, rest = self.policy.offer(batch.rows(), 0.0)
        return PutReply("full" if rest else "admitted", self.policy.incarnation, admitted)

    async def done_ranges(self) -> DoneReply:
        return DoneReply(self.policy.incarnation, self.policy.done_ranges(), self.policy.opened)

    async def finish_input(self, total_reads: int | None, incarnation: str) -> str:
        self.on_finish()
        if incarnation == self.policy.incarnation:
            self.totals.append(total_reads)
        return self.policy.incarnation

    def take(self) -> list[int]:
        """Everything that waits, leased away."""
        lease = self.policy.lease("test", 10**6, 0.0)
        return [] if lease is None else lease.batch.read_index


def no_split(batch: ReadBatch) -> list[ReadBatch]:
    return [batch] if batch.size else []


def engine_of(
    source: ListSource,
    queue: LocalQueue,
    *,
    index: int = 0,
    producers: int = 1,
    rate: float | None = None,
    clock: ManualClock | None = None,
    split: Callable[[ReadBatch], list[ReadBatch]] = no_split,
) -> ProducerEngine:
    return ProducerEngine(Share(index, producers, 10), source, queue, split, rate, clock or ManualClock())


async def test_it_offers_every_read_in_order_and_reports_its_count() -> None:
    queue = LocalQueue()
    engine = engine_of(ListSource(sample_reads(95), 10), queue)
    assert await engine.run() is ProducerEnd.FINISHED
    assert queue.take() == list(range(95))
    assert queue.totals == [95]
    assert engine.stats.produced == engine.stats.generated == 95


async def test_producers_share_the_blocks_and_their_counts_add_up() -> None:
    queue = LocalQueue()
    for index in range(3):
        await engine_of(ListSource(sample_reads(95), 10), queue, index=index, producers=3).run()
    assert sorted(queue.take()) == list(range(95))
    assert queue.totals == [35, 30, 30]


@given(total=st.integers(0, 300), producers=st.integers(1, 7), size=st.integers(1, 20))
def test_shares_cover_any_total(total: int, producers: int, size: int) -> None:
    shares = [Share(index, producers, size) for index in range(producers)]
    assert sum(share.reads_of(total) for share in shares) == total
    blocks = -(-total // size)
    for share in shares:
        own = [block for block in range(blocks) if block % producers == share.index]
        assert share.reads_of(total) == sum(min(size, total - block * size) for block in own)


async def test_what_is_done_is_not_generated_again() -> None:
    queue = LocalQueue(done=[(0, 40), (45, 60), (90, 95)])
    source = ListSource(sample_reads(95), 10)
    await engine_of(source, queue).run()
    assert source.asked == [4, 6, 7, 8, 9, 10]  # the last two: a short block, and the end
    assert queue.take() == [*range(40, 45), *range(60, 90)]
    assert queue.totals == [95]


@pytest.mark.parametrize("count", [0, 1, 10, 95, 100])
async def test_a_file_knows_its_count_at_its_end_even_when_all_of_it_is_done(count: int) -> None:
    queue = LocalQueue(done=[(0, count)])
    await engine_of(ListSource(sample_reads(count), 10, sized=False), queue).run()
    assert queue.take() == []
    assert queue.totals == [count]


async def test_a_full_queue_is_asked_again_with_the_same_reads() -> None:
    queue = LocalQueue(capacity=15)
    taken: list[int] = []

    def make_room() -> None:
        if len(queue.puts) % 3 == 0:
            taken.extend(queue.take())

    queue.on_put = make_room
    assert await engine_of(ListSource(sample_reads(60), 10), queue).run() is ProducerEnd.FINISHED
    assert taken + queue.take() == list(range(60))
    assert len(queue.puts) > 6


async def test_batches_are_split_before_they_are_put() -> None:
    queue = LocalQueue()

    def split(batch: ReadBatch) -> list[ReadBatch]:
        rows = batch.rows()
        return [ReadBatch.from_rows(rows[at : at + 4]) for at in range(0, len(rows), 4)]

    await engine_of(ListSource(sample_reads(20), 10), queue, split=split).run()
    assert [len(put) for put in queue.puts] == [4, 4, 2, 4, 4, 2]


async def test_a_new_incarnation_makes_it_offer_again_from_the_first_read_that_is_not_done() -> None:
    queue = LocalQueue()

    def restart_once() -> None:
        if len(queue.puts) == 4:
            queue.restart("incarnation-2", [(0, 20)])

    queue.on_put = restart_once
    source = ListSource(sample_reads(60), 10)
    engine = engine_of(source, queue)
    assert await engine.run() is ProducerEnd.FINISHED
    assert sorted(queue.take()) == list(range(20, 60))
    assert source.asked == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6]
    assert engine.stats.passes == 2


async def test_a_queue_that_dies_before_it_hears_of_the_end_is_offered_everything_again() -> None:
    queue = LocalQueue()

    def restart_once() -> None:
        if queue.policy.incarnation == "incarnation-1":
            queue.restart("incarnation-2", [(0, 5)])

    queue.on_finish = restart_once
    assert await engine_of(ListSource(sample_reads(30), 10), queue).run() is ProducerEnd.FINISHED
    assert queue.take() == list(range(5, 30))
    assert queue.totals == [30]


async def test_running_again_is_free_until_there_is_a_new_queue() -> None:
    queue = LocalQueue()
    source = ListSource(sample_reads(30), 10)
    engine = engine_of(source, queue)
    assert await asyncio.gather(engine.run(), engine.run()) == [ProducerEnd.FINISHED, ProducerEnd.FINISHED]
    assert source.asked == [0, 1, 2, 3]
    queue.restart("incarnation-2", [(0, 10)])
    assert await engine.run() is ProducerEnd.FINISHED
    assert source.asked == [0, 1, 2, 3, 1, 2, 3]
    assert queue.totals == [30, 30]


async def test_it_waits_until_the_queue_is_opened() -> None:
    queue, clock = LocalQueue(), ManualClock()
    queue.policy.opened = False
    run = asyncio.create_task(engine_of(ListSource(sample_reads(5), 10), queue, clock=clock).run())
    await clock.until_sleeping()
    assert queue.puts == []
    queue.policy.opened = True
    await clock.advance(1.0)
    assert await run is ProducerEnd.FINISHED


async def test_a_closed_queue_ends_it_without_a_count() -> None:
    queue = LocalQueue()
    queue.policy.input_closed = True
    assert await engine_of(ListSource(sample_reads(20), 10), queue).run() is ProducerEnd.CLOSED
    assert queue.totals == []


async def test_a_broken_file_ends_it_with_the_files_error_after_what_came_before() -> None:
    queue = LocalQueue()
    with pytest.raises(InputError, match="block 2"):
        await engine_of(ListSource(sample_reads(60), 10, fail_at_block=2), queue).run()
    assert queue.take() == list(range(20))
    assert queue.totals == []


async def test_a_pause_holds_it_and_an_ending_ends_it() -> None:
    queue, clock = LocalQueue(), ManualClock()
    engine = engine_of(ListSource(sample_reads(10_000), 10), queue, clock=clock)
    engine.apply(DesiredState(version=1, paused=True))
    run = asyncio.create_task(engine.run())
    await clock.until_sleeping()
    await clock.advance(60.0)
    assert queue.puts == []
    engine.apply(DesiredState(version=2, ending="drain"))
    await clock.advance(1.0)
    assert await run is ProducerEnd.STOPPED
    assert queue.puts == queue.totals == []


@pytest.mark.parametrize("state", [DesiredState(version=1, ending="stop"), DesiredState(version=1, paused=True, ending="stop")])
async def test_an_ending_reaches_a_producer_whose_put_is_blocked(state: DesiredState) -> None:
    queue = LocalQueue(capacity=5)
    engine = engine_of(ListSource(sample_reads(60), 10), queue)
    run = asyncio.create_task(engine.run())
    await queue.answered.wait()
    engine.apply(state)
    assert await run is ProducerEnd.STOPPED


async def until_it_sleeps_for_pace(clock: ManualClock, seconds: float) -> None:
    """Moves the clock in small steps; the source works in a thread, so each step waits until the engine sleeps again."""
    for _ in range(round(seconds / 0.05)):
        await clock.until_sleeping()
        await clock.advance(0.05)


async def test_a_rate_is_kept_and_a_spike_lifts_it_for_its_time_only() -> None:
    queue, clock = LocalQueue(), ManualClock()
    engine = engine_of(ListSource(sample_reads(100_000), 10), queue, rate=20.0, clock=clock)
    run = asyncio.create_task(engine.run())
    await until_it_sleeps_for_pace(clock, 10.0)
    configured = len(queue.take())
    assert configured == pytest.approx(200, abs=10)

    engine.apply(DesiredState(version=1, spike_rate_per_s=40.0, spike_until=clock.now().timestamp() + 5.0))
    await until_it_sleeps_for_pace(clock, 10.0)
    assert len(queue.take()) == pytest.approx(200 + 100, abs=10)

    engine.apply(DesiredState(version=2, rate_per_s=10.0))
    await until_it_sleeps_for_pace(clock, 10.0)
    assert len(queue.take()) == pytest.approx(100, abs=10)
    engine.apply(DesiredState(version=3, ending="stop"))
    await clock.advance(1.0)
    assert await run is ProducerEnd.STOPPED
