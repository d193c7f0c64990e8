"""The queue in a real Ray actor, flooded, killed and restarted."""

import asyncio
from collections import Counter
from typing import Any

from fix_ray import until
from helix_ray.actors import api, peers
from helix_ray.actors.queue import QueueActor
from helix_ray.config import QueueConfig
from helix_ray.queueing.messages import QueueStats
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
    await queue.open.remote([], 1)
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
    await queue.open.remote([], 1)
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
    before = await queue.open.remote([(0, 5)], 1)
    await peers.call(api.QUEUE, api.QueueApi.put, 0, batch(0, 10))
    ray_cluster.kill(queue, no_restart=False)

    async def restarted() -> bool:
        return bool(await peers.call(api.QUEUE, api.QueueApi.ping) != before)

    await until(restarted)
    reply = await peers.call(api.QUEUE, api.QueueApi.put, 0, batch(0, 10), 0.01)
    assert reply.status == "full"  # not opened yet: who holds what is not known
    assert (await peers.call(api.QUEUE, api.QueueApi.open, [(0, 5)], 1)) == reply.incarnation
    assert (await peers.call(api.QUEUE, api.QueueApi.put, 0, batch(0, 10))).admitted == 5
