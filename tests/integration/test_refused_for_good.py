"""Several analyzers, one throttle, and a provider that refuses for good: everybody stops at the first refusal."""

import asyncio
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from fix_analyzer import FakeQueue, FakeSink, read
from helix_ray.actors.throttle import ThrottleActor
from helix_ray.analyzer.engine import AnalysisEngine
from helix_ray.backends.groq_client import GroqChat
from helix_ray.clock import SystemClock
from helix_ray.config import Config
from helix_ray.config.emulator import EmulatorConfig
from helix_ray.throttle.messages import AcquireReply, Exchange
from support.served_emulator import ServedEmulator

MODEL = "openai/gpt-oss-20b"
ANALYZERS, IN_FLIGHT, READS_EACH = 3, 32, 200
REFUSALS = {
    "unauthorized": "HTTP 401 invalid_api_key: Invalid API Key",
    "forbidden": "HTTP 403 model_permission_blocked_project: This project may not use this model.",
    "forbidden_html": "HTTP 403 http_403: <!DOCTYPE html>",
    "model_gone": f"HTTP 404 model_not_found: The model `{MODEL}` does not exist or you do not have access to it.",
    "decommissioned": f"HTTP 400 model_decommissioned: The model `{MODEL}` has been decommissioned and is no longer supported.",
    "spend_limit": "HTTP 400 blocked_api_access: API access is blocked: the organization has reached its spend limit for this month.",
}
"""The fault, and what the run says of it."""


class Port:
    """One analyzer's way to the throttle."""

    def __init__(self, throttle: ThrottleActor, holder: str) -> None:
        self._throttle = throttle
        self._holder = holder

    async def exchange(self, told: Exchange) -> AcquireReply:
        return await self._throttle.exchange(self._holder, told)

    async def stop(self, message: str) -> None:
        await self._throttle.stop(message)


@pytest.fixture
async def start_throttle(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    async def silent(self: ThrottleActor) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(ThrottleActor, "_beat", silent)
    started: list[ThrottleActor] = []

    async def start(config: Config) -> ThrottleActor:
        throttle = ThrottleActor(config.throttle, most_in_flight=ANALYZERS * IN_FLIGHT)
        await throttle.restore(Decimal(0))
        started.append(throttle)
        return throttle

    yield start
    for throttle in started:
        assert throttle._beat_task is not None
        throttle._beat_task.cancel()
        if throttle._timer is not None:
            throttle._timer.cancel()


async def run_all(throttle: ThrottleActor, config: Config, url: str) -> tuple[list[str], list[FakeQueue], list[FakeSink]]:
    clock = SystemClock()
    queues = [FakeQueue([read(READS_EACH * number + index) for index in range(READS_EACH)], True, clock) for number in range(ANALYZERS)]
    sinks = [FakeSink() for _ in queues]
    chats = [GroqChat("gsk_any", url, IN_FLIGHT) for _ in queues]
    engines = [
        AnalysisEngine(config, queue, Port(throttle, f"a{number}"), sink, chat, clock=clock, nonce="run", rng=random.Random(number))
        for number, (queue, sink, chat) in enumerate(zip(queues, sinks, chats, strict=True))
    ]
    try:
        ended = await asyncio.gather(*(engine.run() for engine in engines))
    finally:
        for chat in chats:
            await chat.aclose()
    return ended, queues, sinks


def configured(**throttle: Any) -> Config:
    return Config.model_validate({"analyzer": {"requests_in_flight": IN_FLIGHT}, "throttle": throttle})


def emulated(*script: dict[str, Any]) -> ServedEmulator:
    return ServedEmulator(EmulatorConfig.model_validate({"tier": "unlimited", "latency_scale": 0.2, "script": list(script)}), MODEL)


@pytest.mark.parametrize(
    "limits", [{}, {"requests_per_minute": 60_000, "tokens_per_minute": 100_000_000}], ids=["discovered", "configured"]
)
@pytest.mark.parametrize("fault", REFUSALS)
async def test_no_more_requests_than_analyzers_are_sent(start_throttle: Any, fault: str, limits: dict[str, int]) -> None:
    config = configured(**limits)
    async with emulated({"request": 1, "last": 10**6, "fault": fault}) as service:
        throttle = await start_throttle(config)
        ended, queues, sinks = await run_all(throttle, config, service.url)
        sent = service.chat.ledger.entries.total
    stats = await throttle.stats()
    assert REFUSALS[fault] in str(stats.refused), "the run's reason"
    assert (stats.spent_usd, stats.reserved_usd, stats.in_flight) == (0, 0, 0)
    assert 1 <= sent <= ANALYZERS
    assert ended == ["refused"] * ANALYZERS
    for queue, sink in zip(queues, sinks, strict=True):
        assert len(queue.nacked) + len(queue.waiting) == READS_EACH, "every read is back, none is lost"
        assert sink.results == []


async def test_a_key_that_is_revoked_in_the_middle_refuses_only_what_was_in_flight(start_throttle: Any) -> None:
    config = configured(adaptive_concurrency=False)
    async with emulated({"request": 150, "last": 10**6, "fault": "unauthorized"}) as service:
        ended, queues, sinks = await run_all(await start_throttle(config), config, service.url)
        await service.quiet()
        refused = service.chat.ledger.by_status[401]
        answered = service.chat.ledger.by_status[200]
    assert 1 <= refused <= ANALYZERS * IN_FLIGHT
    assert answered == 149
    assert ended == ["refused"] * ANALYZERS
    stored = sum(len(sink.results) for sink in sinks)
    returned = sum(len(queue.nacked) + len(queue.waiting) for queue in queues)
    assert stored + returned == ANALYZERS * READS_EACH
    assert 0 < stored <= answered
