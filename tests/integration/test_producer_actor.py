"""Producers in real Ray actors, against the real queue: their deaths and the queue's lose nothing and double nothing."""

import asyncio
from typing import Any

import pytest
from ray.exceptions import RayTaskError

from fix_ray import until
from helix_ray.actors import api, peers
from helix_ray.actors.producer import ProducerActor
from helix_ray.actors.queue import QueueActor
from helix_ray.config import Config, QueueConfig
from helix_ray.errors import InputError
from helix_ray.queueing.ranges import IndexRanges

QUEUE = QueueConfig(capacity=100, low_watermark=20)
COUNT = 1000


def config(**source: Any) -> Config:
    return Config.model_validate({"source": {"count": COUNT, "batch_size": 20, **source}})


def with_list_source(fail_at_block: int | None = None) -> type:
    """A producer whose source is a list. Made inside a function, so that the class travels to the worker by value."""

    class ListProducer(ProducerActor):
        async def _make_engine(self) -> Any:
            from helix_ray.actors.peers import ProducerPeers
            from helix_ray.clock import SystemClock
            from helix_ray.producer.engine import ProducerEngine, Share
            from support.list_source import ListSource, sample_reads

            source = ListSource(sample_reads(1000), 20, fail_at_block=fail_at_block)
            share = Share(self._index, 2, 20)
            return ProducerEngine(share, source, ProducerPeers(self._index), lambda batch: [batch], None, SystemClock())

    return ListProducer


def start_run(producer: Any) -> Any:
    """As the pipeline starts it: Ray runs it again in a restarted actor."""
    return producer.run.options(max_task_retries=-1).remote()


async def take(holder: str, max_reads: int) -> list[int] | None:
    """Leases and acknowledges; None when the queue says that nothing is left."""
    reply = await peers.call(api.QUEUE, api.QueueApi.lease, holder, max_reads)
    if reply.status == "closed":
        return None
    if reply.lease is None:
        return []
    await peers.call(api.QUEUE, api.QueueApi.ack, reply.lease.batch.read_index)
    return list(reply.lease.batch.read_index)


async def take_all() -> list[int]:
    taken: list[int] = []
    while (some := await take("test", 70)) is not None:
        taken += some
    return taken


async def open_queue(start_actor: Any, producers: int = 2) -> Any:
    queue = start_actor(QueueActor, api.QUEUE, QUEUE, max_concurrency=10_000)
    await queue.open.remote(IndexRanges(), producers)
    return queue


async def until_blocked(producers: int) -> None:
    async def holds() -> bool:
        return bool((await peers.call(api.QUEUE, api.QueueApi.stats)).blocked_now >= producers)

    await until(holds)


async def test_two_producers_offer_each_read_once_and_block_in_between(start_actor: Any) -> None:
    await open_queue(start_actor)
    runs = [start_run(start_actor(with_list_source(), api.producer(index), index, config())) for index in range(2)]
    await until_blocked(2)
    assert sorted(await take_all()) == list(range(COUNT))
    assert await asyncio.gather(*runs) == ["finished", "finished"]
    stats = await peers.call(api.QUEUE, api.QueueApi.stats)
    assert (stats.admitted, stats.acked, stats.total_reads, stats.max_queue_depth) == (COUNT, COUNT, COUNT, 100)
    assert stats.blocked_seconds > 0


async def test_a_producer_killed_in_a_blocked_put_doubles_nothing(start_actor: Any, ray_cluster: Any) -> None:
    await open_queue(start_actor)
    producers = [start_actor(with_list_source(), api.producer(index), index, config()) for index in range(2)]
    runs = [start_run(producer) for producer in producers]
    await until_blocked(2)
    ray_cluster.kill(producers[0], no_restart=False)
    assert sorted(await take_all()) == list(range(COUNT))
    assert await asyncio.gather(*runs) == ["finished", "finished"]
    assert (await peers.call(api.QUEUE, api.QueueApi.stats)).admitted == COUNT


async def test_producers_offer_again_what_a_killed_queue_forgot(start_actor: Any, ray_cluster: Any) -> None:
    queue = await open_queue(start_actor)
    runs = [start_run(start_actor(with_list_source(), api.producer(index), index, config())) for index in range(2)]
    await until_blocked(2)
    stored = await take("test", 90)
    assert stored is not None
    await until_blocked(2)
    incarnation = await queue.ping.remote()
    ray_cluster.kill(queue, no_restart=False)

    async def restarted() -> bool:
        return bool(await peers.call(api.QUEUE, api.QueueApi.ping) != incarnation)

    await until(restarted)
    await peers.call(api.QUEUE, api.QueueApi.open, IndexRanges((index, index + 1) for index in stored), 2)
    assert sorted(stored + await take_all()) == list(range(COUNT))
    assert await asyncio.gather(*runs) == ["finished", "finished"]


async def test_a_broken_file_ends_the_run_with_its_error(start_actor: Any) -> None:
    await open_queue(start_actor)
    producer = start_actor(with_list_source(fail_at_block=2), api.producer(0), 0, config())
    with pytest.raises(RayTaskError) as caught:
        await producer.run.remote()
    assert isinstance(caught.value.cause, InputError)
    assert "block 2" in str(caught.value.cause)
    assert await producer.ping.remote()  # the actor lives; the pipeline decides


async def test_the_synthetic_source_flows_from_configuration_alone(start_actor: Any) -> None:
    await open_queue(start_actor)
    runs = [start_run(start_actor(ProducerActor, api.producer(index), index, config())) for index in range(2)]
    assert sorted(await take_all()) == list(range(COUNT))
    assert await asyncio.gather(*runs) == ["finished", "finished"]
    reports = [await peers.call(api.producer(index), api.ProducerApi.stats) for index in range(2)]
    assert sum(report.produced for report in reports) == COUNT
