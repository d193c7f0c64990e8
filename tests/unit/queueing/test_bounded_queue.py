"""The rules of the queue, one by one, and its history over restarts. The random walk over all of them is test_machine.py."""

import pickle

import pytest

from helix_ray.actors.prometheus import numbers_of
from helix_ray.queueing.bounded_queue import BoundedQueue
from helix_ray.queueing.messages import Lease
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import Read
from support.list_source import sample_reads

TIMEOUT_S = 120.0


def open_queue(capacity: int = 10, low: int = 3, done: list[tuple[int, int]] | None = None, producers: int = 1) -> BoundedQueue:
    queue = BoundedQueue(capacity, low, TIMEOUT_S, "incarnation")
    queue.open(IndexRanges(done or ()), producers)
    return queue


def indices(reads: list[Read]) -> list[int]:
    return [read.read_index for read in reads]


def leased(queue: BoundedQueue, max_reads: int, holder: str = "a", now: float = 0.0) -> Lease:
    lease = queue.lease(holder, max_reads, now)
    assert lease is not None
    return lease


def test_nothing_enters_or_leaves_before_it_is_opened() -> None:
    queue = BoundedQueue(10, 3, TIMEOUT_S, "incarnation")
    assert queue.offer(sample_reads(2), 0.0)[0] == 0
    assert queue.lease("a", 1, 0.0) is None
    assert not queue.exhausted
    assert queue.stats(0.0).gate_closed


def test_the_part_of_a_batch_that_fits_enters_and_the_rest_keeps_its_order() -> None:
    queue = open_queue()
    admitted, rest = queue.offer(sample_reads(14), 0.0)
    assert admitted == 10
    assert indices(rest) == [10, 11, 12, 13]
    assert queue.stats(0.0).max_queue_depth == 10


def test_once_full_it_stays_shut_until_the_low_watermark() -> None:
    queue = open_queue(capacity=10, low=3)
    queue.offer(sample_reads(10), 0.0)
    leased(queue, 6)
    assert queue.offer(sample_reads(1, start=50), 0.0)[0] == 0  # 4 wait: above the low watermark
    leased(queue, 1)
    assert queue.offer(sample_reads(1, start=50), 0.0)[0] == 1


def test_what_is_acknowledged_joins_what_the_ledger_had() -> None:
    queue = open_queue(done=[(0, 2), (3, 5)])
    queue.offer(sample_reads(8), 0.0)
    assert [queue.ack([index]) for index in (2, 2, 6, 1)] == [1, 0, 1, 0]
    assert [*queue.done_ranges()] == [(0, 5), (6, 7)]
    queue.open(IndexRanges([(0, 2)]), 1)  # read before those were acknowledged
    assert [*queue.done_ranges()] == [(0, 5), (6, 7)]
    assert queue.stats(0.0).waiting == 2


def test_a_read_that_is_done_waiting_or_leased_is_dropped_even_while_full() -> None:
    queue = open_queue(capacity=4, low=1, done=[(0, 2)])
    queue.offer(sample_reads(6), 0.0)  # 2..5
    leased(queue, 2)
    queue.offer(sample_reads(2, start=6), 0.0)
    assert queue.offer(sample_reads(8), 0.0) == (0, [read for read in sample_reads(8) if read.read_index >= 6])
    assert queue.offer(sample_reads(6), 0.0) == (0, [])


def test_one_offer_that_names_an_index_twice_admits_it_once() -> None:
    queue = open_queue()
    read = sample_reads(1)[0]
    assert queue.offer([read, read], 0.0) == (1, [])
    assert queue.stats(0.0).waiting == 1


def test_a_lease_tells_how_long_its_reads_waited_and_how_often_they_went_out() -> None:
    queue = open_queue()
    queue.offer(sample_reads(2), 10.0)
    first = leased(queue, 2, now=10.5)
    assert first.queue_ms == [500.0, 500.0]
    assert first.deadline_s == TIMEOUT_S
    queue.nack("a", first.lease_id, first.fence, [1])
    second = leased(queue, 2, now=11.0)
    assert second.batch.read_index == [1]
    assert second.deliveries == [2]
    assert second.fence > first.fence


def test_what_came_back_goes_out_first_and_is_not_subject_to_the_capacity() -> None:
    queue = open_queue(capacity=10, low=3)
    queue.offer(sample_reads(10), 0.0)
    lease = leased(queue, 8)
    queue.offer(sample_reads(8, start=20), 0.0)
    queue.nack("a", lease.lease_id, lease.fence, lease.batch.read_index)
    stats = queue.stats(0.0)
    assert (stats.waiting, stats.redelivered) == (10, 8)
    assert queue.offer(sample_reads(1, start=90), 0.0)[0] == 0
    assert leased(queue, 9).batch.read_index == [*range(8), 8]


def test_only_the_holder_with_the_right_fence_can_return_or_extend() -> None:
    queue = open_queue()
    queue.offer(sample_reads(2), 0.0)
    lease = leased(queue, 2, holder="a")
    assert queue.nack("b", lease.lease_id, lease.fence, [0]) == 0
    assert queue.nack("a", lease.lease_id, lease.fence + 1, [0]) == 0
    assert queue.extend("b", [lease.lease_id, "unknown"], 1.0) == [lease.lease_id, "unknown"]
    assert queue.extend("a", [lease.lease_id], 1.0) == []
    assert queue.nack("a", lease.lease_id, lease.fence, [0, 0, 7]) == 1


def test_a_lease_that_is_not_extended_comes_back_at_its_deadline() -> None:
    queue = open_queue()
    queue.offer(sample_reads(2), 0.0)
    lease = leased(queue, 2, now=0.0)
    assert queue.sweep(TIMEOUT_S - 0.001) == 0
    queue.extend("a", [lease.lease_id], TIMEOUT_S - 0.001)
    assert queue.sweep(TIMEOUT_S) == 0
    assert queue.sweep(2 * TIMEOUT_S) == 2
    assert queue.extend("a", [lease.lease_id], 2 * TIMEOUT_S) == [lease.lease_id]
    stats = queue.stats(0.0)
    assert (stats.redelivered, stats.leased, stats.expired) == (2, 0, 2)


@pytest.mark.parametrize("place", ["waiting", "redelivered", "leased", "unknown"])
def test_an_ack_finds_the_read_wherever_it_is_and_counts_once(place: str) -> None:
    queue = open_queue()
    if place != "unknown":
        queue.offer(sample_reads(1), 0.0)
    if place in ("leased", "redelivered"):
        lease = leased(queue, 1)
        if place == "redelivered":
            queue.nack("a", lease.lease_id, lease.fence, [0])
    assert queue.ack([0]) == 1
    assert queue.ack([0]) == 0
    assert queue.held == 0
    assert queue.offer(sample_reads(1), 0.0) == (0, [])
    assert queue.stats(0.0).acked == (0 if place == "unknown" else 1)


def test_the_first_stored_answer_wins_whoever_holds_the_lease_by_then() -> None:
    queue = open_queue()
    queue.offer(sample_reads(1), 0.0)
    leased(queue, 1, holder="slow")
    queue.sweep(TIMEOUT_S)
    second = leased(queue, 1, holder="quick", now=TIMEOUT_S)
    assert queue.ack([0]) == 1  # the slow one's answer was committed
    assert queue.nack("quick", second.lease_id, second.fence, [0]) == 0
    assert queue.held == 0


def test_releasing_a_dead_holder_brings_back_all_that_it_held_and_nothing_else() -> None:
    queue = open_queue()
    queue.offer(sample_reads(6), 0.0)
    leased(queue, 2, holder="dead")
    leased(queue, 1, holder="alive")
    leased(queue, 1, holder="dead")
    assert queue.release("dead") == 3
    assert queue.release("dead") == 0
    assert leased(queue, 3).batch.read_index == [0, 1, 3]


def test_it_is_exhausted_when_every_producer_has_finished_and_nothing_is_held() -> None:
    queue = open_queue(producers=2)
    queue.offer(sample_reads(1), 0.0)
    leased(queue, 1)
    queue.finish_input(0, 60)
    queue.finish_input(0, 60)
    assert queue.stats(0.0).total_reads is None
    queue.finish_input(1, 40)
    assert queue.stats(0.0).total_reads == 100
    assert not queue.exhausted
    queue.ack([0])
    assert queue.exhausted


def test_a_producer_that_does_not_know_its_count_leaves_the_total_unknown() -> None:
    queue = open_queue(producers=1)
    queue.finish_input(0, None)
    assert queue.exhausted
    assert queue.stats(0.0).total_reads is None


def test_closing_the_input_ends_it_once_the_rest_is_done() -> None:
    queue = open_queue(producers=2)
    queue.offer(sample_reads(1), 0.0)
    queue.input_closed = True
    assert queue.offer(sample_reads(1, start=5), 0.0)[0] == 0
    assert not queue.exhausted
    leased(queue, 1)
    queue.ack([0])
    assert queue.exhausted


def test_closing_leases_keeps_what_is_inside_for_the_count() -> None:
    queue = open_queue()
    queue.offer(sample_reads(3), 0.0)
    queue.leases_closed = True
    assert queue.lease("a", 1, 0.0) is None
    assert queue.exhausted
    assert queue.held == 3


def test_blocked_puts_are_served_in_order_and_their_time_is_summed() -> None:
    queue = open_queue(capacity=4, low=0)
    queue.offer(sample_reads(4), 0.0)
    first = queue.line.join(sample_reads(3, start=10), 0, 1.0)
    second = queue.line.join(sample_reads(3, start=20), 0, 2.0)
    assert queue.serve_line(3.0) == []
    leased(queue, 4)
    assert queue.serve_line(5.0) == [first]
    assert (second.admitted, indices(second.reads)) == (1, [21, 22])  # it keeps its place with the rest
    stats = queue.stats(6.0)
    assert (stats.blocked_now, stats.blocked_puts, stats.blocked_seconds) == (1, 2, 4.0 + 4.0)
    queue.line.leave(second, 7.0)
    queue.line.leave(second, 9.0)
    assert queue.stats(10.0).blocked_seconds == 9.0
    assert leased(queue, 9).batch.read_index == [10, 11, 12, 20]


def test_a_second_opening_may_know_more_that_is_done() -> None:
    queue = open_queue()
    queue.offer(sample_reads(4), 0.0)
    leased(queue, 1)
    queue.open(IndexRanges([(0, 2)]), 1)
    assert queue.held == 2
    assert [*queue.done_ranges()] == [(0, 2)]


def test_the_maxima_remember_each_line_and_the_whole() -> None:
    queue = open_queue(capacity=10, low=9)
    queue.offer(sample_reads(10), 0.0)
    lease = leased(queue, 4)
    queue.offer(sample_reads(4, start=20), 0.0)
    queue.nack("a", lease.lease_id, lease.fence, [0, 1])
    queue.ack(list(range(30)))
    stats = queue.stats(0.0)
    assert (stats.max_queue_depth, stats.max_redelivered, stats.max_leased, stats.max_held) == (10, 2, 4, 14)
    assert stats.admitted == stats.acked == 14


def test_impossible_watermarks_are_refused() -> None:
    with pytest.raises(ValueError, match="low_watermark"):
        BoundedQueue(10, 10, TIMEOUT_S, "incarnation")


def test_statistics_travel_and_become_numbers() -> None:
    stats = open_queue().stats(0.0)
    assert pickle.loads(pickle.dumps(stats)) == stats
    numbers = {name: value for name, _, value in numbers_of(stats)}
    assert numbers["capacity"] == 10.0
    assert numbers["gate_closed"] == 0.0
    assert "incarnation" not in numbers
    assert numbers["total_reads"] is None
