"""The throttle as a real Ray actor: many callers share one bucket, and permits of a killed analyzer come back."""

import asyncio
import os
import signal
import time
from decimal import Decimal
from typing import Any

import psutil
import pytest
import ray
from ray.exceptions import RayActorError

from fix_analyzer import read
from fix_ray import until
from helix_ray.actors import api
from helix_ray.actors.analyzer import AnalyzerActor
from helix_ray.actors.queue import QueueActor
from helix_ray.actors.throttle import ThrottleActor
from helix_ray.clock import SystemClock
from helix_ray.config import Config, ThrottleConfig
from helix_ray.environment.secrets import Secret
from helix_ray.providers.readings import LimitReading
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import ReadBatch, TokenUsage
from helix_ray.throttle.governor import PERMIT_GRACE_S
from helix_ray.throttle.messages import Exchange, PermitRequest, Settlement


@pytest.fixture
async def throttle(start_actor: Any) -> Any:
    config = ThrottleConfig(requests_per_minute=100_000, max_cost_usd=1000.0)
    actor = start_actor(ThrottleActor, api.THROTTLE, config)
    await actor.restore.remote(Decimal(0))
    return actor


def want(name: str) -> PermitRequest:
    return PermitRequest(name, 400, 112, Decimal("0.001"))


async def spend(actor: Any, holder: str, chunks: int) -> int:
    """Chunks of 16: ask, wait, settle; returns how many were granted."""
    granted = 0
    for chunk in range(chunks):
        wants = {each.want_id: each for each in (want(f"{holder}-{chunk}-{n}") for n in range(16))}
        while wants:
            reply = await actor.exchange.remote(holder, Exchange(list(wants.values())))
            assert reply.refusal is None
            granted += len(reply.grants)
            for grant in reply.grants:
                del wants[grant.want_id]
            reading = LimitReading(tokens_limit=1e9, tokens_remaining=9e8)
            usage = TokenUsage(400, 0, 100)
            ends = [Settlement(grant.permit_id, "answered", usage, Decimal("0.0005"), reading) for grant in reply.grants]
            await actor.exchange.remote(holder, Exchange(settlements=ends))
    return granted


async def test_many_callers_share_one_throttle(throttle: Any) -> None:
    totals = await asyncio.gather(*(spend(throttle, f"h{n}", 8) for n in range(4)))
    stats = await throttle.stats.remote()
    assert sum(totals) == stats.granted == stats.answered == 4 * 8 * 16
    assert stats.spent_usd == Decimal("0.0005") * stats.granted
    assert (stats.in_flight, stats.waiting, stats.reserved_usd) == (0, 0, 0)
    assert stats.buckets["TPM"].source == "discovered"
    assert await throttle.ping.remote() == await throttle.start.remote()


async def test_a_restarted_throttle_grants_nothing_before_it_knows_what_was_spent(start_actor: Any) -> None:
    config = ThrottleConfig(tokens_per_minute=100_000, max_cost_usd=0.01)
    actor = start_actor(ThrottleActor, api.THROTTLE, config)
    incarnation = await actor.ping.remote()
    await actor.restore.remote(Decimal(0))
    assert (await actor.exchange.remote("a", Exchange([want("w0")]))).grants
    ray.kill(actor, no_restart=False)
    while await another_incarnation(actor, incarnation) is None:
        await SystemClock().sleep(0.05)
    waiting = actor.exchange.remote("a", Exchange([want("w1")]), 5.0)
    await actor.restore.remote(Decimal("0.0099"))
    reply = await waiting
    assert reply.refusal is not None
    assert reply.refusal.reason == "budget"


async def another_incarnation(actor: Any, incarnation: str) -> str | None:
    """What the actor answers once it is not the one that was killed."""
    try:
        answered: str = await actor.ping.remote()
    except RayActorError:
        return None
    return answered if answered != incarnation else None


PERMITS = 8


def pid_of(kind: str) -> int:
    [process] = [each for each in psutil.Process().children(recursive=True) if each.name().startswith(f"ray::{kind}")]
    return process.pid


async def test_permits_of_a_killed_analyzer_come_back(start_actor: Any) -> None:
    config = Config.model_validate(
        {
            "analyzer": {"requests_in_flight": PERMITS},
            "throttle": {"adaptive_concurrency": False, "max_cost_usd": 1000.0},
            "source": {"batch_size": PERMITS},
        }
    )
    lifetime_s = config.analyzer.request_timeout_s + PERMIT_GRACE_S
    queue = start_actor(QueueActor, api.QUEUE, config.queue)
    throttle = start_actor(ThrottleActor, api.THROTTLE, config.throttle, config.analyzer.request_timeout_s)
    await throttle.restore.remote(Decimal(0))
    [probe] = (await throttle.exchange.remote("test", Exchange([PermitRequest("first", 1, 1, Decimal(0))]))).grants
    await throttle.exchange.remote("test", Exchange(settlements=[Settlement(probe.permit_id, "answered", TokenUsage(1, 0, 1), Decimal(0))]))
    await queue.open.remote(IndexRanges(), 1)
    await queue.put.remote(0, ReadBatch.from_rows([read(index) for index in range(2 * PERMITS)]))

    # there is no sink, so each request has its permit and waits until it is on record
    analyzer = start_actor(AnalyzerActor, api.analyzer(0), 0, config, "http://127.0.0.1:9", "run")
    running = analyzer.run.options(max_task_retries=-1).remote(Secret("gsk_none"))

    async def holds_all() -> bool:
        return (await throttle.stats.remote()).in_flight == PERMITS

    async def freed() -> bool:
        """Booked at their worst case: nobody knows whether they were sent."""
        stats = await throttle.stats.remote()
        return stats.spent_usd >= reserved_usd

    await until(holds_all)
    reserved_usd = (await throttle.stats.remote()).reserved_usd
    assert reserved_usd > 0
    os.kill(pid_of("AnalyzerActor"), signal.SIGKILL)
    killed_at = time.monotonic()
    await until(freed)
    back_after_s = time.monotonic() - killed_at
    assert back_after_s < lifetime_s / 3
    await until(holds_all)  # the successor's
    del running
