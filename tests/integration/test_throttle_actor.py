"""The throttle as a real Ray actor: values survive the border, and many callers share one bucket."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError

from helix_ray.actors import api
from helix_ray.actors.throttle import ThrottleActor
from helix_ray.clock import SystemClock
from helix_ray.config import ThrottleConfig
from helix_ray.providers.readings import LimitReading
from helix_ray.records import TokenUsage
from helix_ray.throttle.messages import PermitRequest, Settlement


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
            reply = await actor.acquire.remote(holder, list(wants.values()))
            assert reply.refusal is None
            granted += len(reply.grants)
            for grant in reply.grants:
                del wants[grant.want_id]
            reading = LimitReading(tokens_limit=1e9, tokens_remaining=9e8)
            usage = TokenUsage(400, 0, 100)
            await actor.settle.remote(
                holder, [Settlement(grant.permit_id, "answered", usage, Decimal("0.0005"), reading) for grant in reply.grants]
            )
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
    assert (await actor.acquire.remote("a", [want("w0")])).grants
    ray.kill(actor, no_restart=False)
    while await another_incarnation(actor, incarnation) is None:
        await SystemClock().sleep(0.05)
    waiting = actor.acquire.remote("a", [want("w1")], 5.0)
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
