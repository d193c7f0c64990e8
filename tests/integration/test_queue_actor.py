"""The queue in a real Ray actor: flooded, killed, restarted; calls between actors survive that, and errors arrive as raised."""

import asyncio
import os
import sys
from collections import Counter
from typing import Any

import pytest
from ray import cloudpickle
from ray.exceptions import RayActorError, RayTaskError

from fix_ray import until
from helix_ray.actors import api, peers
from helix_ray.actors.api import Address
from helix_ray.actors.peers import PeerAwayError
from helix_ray.actors.queue import QueueActor
from helix_ray.config import QueueConfig
from helix_ray.errors import ConfigError, HelixError, InputError
from helix_ray.queueing.messages import QueueStats
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import ReadBatch
from support.list_source import sample_reads

CONFIG = QueueConfig()
BLOCKED = 1500


def batch(start: int, count: int) -> ReadBatch:
    return ReadBatch.from_rows(sample_reads(count, start))


async def stats_when(condition: Any) -> QueueStats:
    """The first statistics that meet the condition; the test's own timeout is the limit."""
    while True:
        stats: QueueStats = await peers.call_within(20.0, api.QUEUE, api.QueueApi.stats)
        if condition(stats):
            return stats
        await asyncio.sleep(0.05)


async def test_1500_blocked_puts_starve_neither_leases_nor_acks_nor_statistics(start_actor: Any) -> None:
    """Ray's own queue stops serving at 1,001: its actor runs 1,000 calls at once, all of them puts, and no get gets in."""
    queue = start_actor(QueueActor, api.QUEUE, CONFIG, max_concurrency=10_000)
    await queue.open.remote(IndexRanges(), 1)
    await queue.put.remote(0, batch(0, 500))
    puts = [asyncio.wrap_future(queue.put.remote(0, batch(1000 + number, 1), 30.0).future()) for number in range(BLOCKED)]
    await stats_when(lambda stats: stats.blocked_now == BLOCKED)

    lease = (await peers.call_within(20.0, api.QUEUE, api.QueueApi.lease, "test", 100)).lease
    assert lease.batch.size == 100
    assert await peers.call_within(20.0, api.QUEUE, api.QueueApi.ack, lease.batch.read_index) == 100
    assert await peers.call_within(20.0, api.QUEUE, api.QueueApi.extend, "test", [lease.lease_id]) == [lease.lease_id]
    stats = await peers.call_within(20.0, api.QUEUE, api.QueueApi.stats)
    assert (stats.waiting, stats.blocked_now, stats.acked) == (400, BLOCKED, 100)

    await peers.call_within(20.0, api.QUEUE, api.QueueApi.lease, "test", 300)  # down to the low watermark: 400 come in
    stats = await peers.call_within(20.0, api.QUEUE, api.QueueApi.stats)
    assert (stats.waiting, stats.max_queue_depth, stats.blocked_now) == (500, 500, BLOCKED - 400)

    await peers.call_within(20.0, api.QUEUE, api.QueueApi.close_input)
    replies = Counter((reply.status, reply.admitted) for reply in await asyncio.gather(*puts))
    assert replies == {("admitted", 1): 400, ("closed", 0): BLOCKED - 400}


async def test_a_consumer_killed_while_it_waits_loses_nothing_once_it_is_released(start_actor: Any, ray_cluster: Any) -> None:
    class Consumer:
        async def take(self, queue: Any) -> Any:
            return await queue.lease.remote("consumer", 10, 30.0)

    queue = start_actor(QueueActor, api.QUEUE, CONFIG, max_concurrency=10_000)
    await queue.open.remote(IndexRanges(), 1)
    consumer = start_actor(Consumer, "consumer")
    taking = consumer.take.remote(queue)
    await consumer.__ray_ready__.remote()
    ray_cluster.kill(consumer, no_restart=True)
    await asyncio.gather(asyncio.wrap_future(taking.future()), return_exceptions=True)

    await queue.put.remote(0, batch(0, 10))
    await queue.release.remote("consumer")  # whether its call still waited, or was granted to the dead
    reply = await queue.lease.remote("other", 10)
    assert reply.lease.batch.read_index == list(range(10))


async def test_a_killed_queue_comes_back_empty_and_says_so_by_its_incarnation(start_actor: Any, ray_cluster: Any) -> None:
    queue = start_actor(QueueActor, api.QUEUE, CONFIG, max_concurrency=10_000)
    before = await queue.open.remote(IndexRanges([(0, 5)]), 1)
    await peers.call(api.QUEUE, api.QueueApi.put, 0, batch(0, 10))
    ray_cluster.kill(queue, no_restart=False)

    async def restarted() -> bool:
        return bool(await peers.call(api.QUEUE, api.QueueApi.ping) != before)

    await until(restarted)
    reply = await peers.call(api.QUEUE, api.QueueApi.put, 0, batch(0, 10), 0.01)
    assert reply.status == "full"  # not opened yet: who holds what is not known
    assert (await peers.call(api.QUEUE, api.QueueApi.open, IndexRanges([(0, 5)]), 1)) == reply.incarnation
    assert (await peers.call(api.QUEUE, api.QueueApi.put, 0, batch(0, 10))).admitted == 5


cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers cannot import a test file


class Peer:
    def __init__(self) -> None:
        self.calls = self.hanging = 0

    async def count(self) -> int:
        self.calls += 1
        return self.calls

    async def process(self, but_not: int | None = None) -> int:
        """This process's id; hangs in the one that is not wanted."""
        if os.getpid() == but_not:
            self.hanging += 1
            await asyncio.Event().wait()
        return os.getpid()

    async def hanging_calls(self) -> int:
        return self.hanging

    async def echo(self, *values: Any) -> tuple[Any, ...]:
        return values

    async def fail(self, error: Exception) -> None:
        self.calls += 1
        raise error

    async def hang(self) -> None:
        self.calls += 1
        await asyncio.Event().wait()


PEER: Address[Peer] = Address("peer")
NOBODY: Address[Peer] = Address("nobody")
LATE: Address[Peer] = Address("late")


async def test_a_call_reaches_the_named_actor(start_actor: Any) -> None:
    start_actor(Peer, PEER)
    assert await peers.call(PEER, Peer.echo, 1, "two") == (1, "two")


async def test_a_call_waits_for_an_actor_that_does_not_exist_yet(start_actor: Any) -> None:
    calling = asyncio.create_task(peers.call(LATE, Peer.count))
    await asyncio.sleep(0)
    start_actor(Peer, LATE)
    assert await calling == 1


async def test_a_call_in_flight_survives_the_death_of_the_callee(start_actor: Any, ray_cluster: Any) -> None:
    handle = start_actor(Peer, PEER)
    first = await peers.call(PEER, Peer.process)
    calling = asyncio.create_task(peers.call(PEER, Peer.process, first))
    await until(lambda: peers.call(PEER, Peer.hanging_calls))
    ray_cluster.kill(handle, no_restart=False)
    assert await calling != first


async def test_a_call_finds_the_successor_of_the_same_name(start_actor: Any, ray_cluster: Any) -> None:
    first = start_actor(Peer, PEER)
    await peers.call(PEER, Peer.count)
    ray_cluster.kill(first, no_restart=True)
    del first
    calling = asyncio.create_task(peers.call(PEER, Peer.count))

    async def name_is_free() -> bool:
        return "peer" not in ray_cluster.util.list_named_actors()

    await until(name_is_free)
    start_actor(Peer, PEER)
    assert await calling == 1


async def test_our_errors_arrive_unchanged_and_are_not_asked_again(start_actor: Any) -> None:
    start_actor(Peer, PEER)
    errors: list[HelixError] = [InputError("reads.fq: record 7 is cut off"), ConfigError("demo.yaml", ["a", "b"])]
    for number, error in enumerate(errors, 1):
        with pytest.raises(type(error)) as caught:
            await peers.call(PEER, Peer.fail, error)
        assert type(caught.value) is type(error)
        assert caught.value.args == error.args
        assert await peers.call(PEER, Peer.count) == 2 * number


async def test_other_errors_keep_the_remote_traceback_and_are_not_asked_again(start_actor: Any) -> None:
    start_actor(Peer, PEER)
    for number, error in enumerate([KeyError("x"), TimeoutError("its own"), ValueError("y")], 1):
        with pytest.raises(RayTaskError, match="fail"):
            await peers.call(PEER, Peer.fail, error)
        assert await peers.call(PEER, Peer.count) == 2 * number


async def test_one_attempt_says_why_there_is_no_answer(start_actor: Any, ray_cluster: Any) -> None:
    with pytest.raises(PeerAwayError, match="nobody"):
        await peers.attempt(None, NOBODY, Peer.count)
    handle = start_actor(Peer, PEER)
    with pytest.raises(PeerAwayError) as caught:
        await peers.attempt(0.05, PEER, Peer.hang)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert await peers.call(PEER, Peer.echo, 1) == (1,)  # the actor lives, only the call took too long
    ray_cluster.kill(handle, no_restart=True)
    with pytest.raises(PeerAwayError) as caught:
        while True:  # a call that overtakes the kill is still answered
            await peers.attempt(None, PEER, Peer.count)
    assert isinstance(caught.value.__cause__, RayActorError)


async def test_metrics_do_not_wait_for_anyone(start_actor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await peers.call_or_none(NOBODY, Peer.count) is None
    start_actor(Peer, PEER)
    monkeypatch.setattr(peers, "METRICS_TIMEOUT_S", 30.0)
    assert await peers.call_or_none(PEER, Peer.echo, 3) == (3,)
    with pytest.raises(InputError):
        await peers.call_or_none(PEER, Peer.fail, InputError("told"))
    monkeypatch.setattr(peers, "METRICS_TIMEOUT_S", 0.05)
    assert await peers.call_or_none(PEER, Peer.hang) is None
