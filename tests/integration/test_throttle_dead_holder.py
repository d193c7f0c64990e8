"""An analyzer's process is killed: its permits come back with its successor, long before they expire."""

from __future__ import annotations

import os
import signal
import time
from decimal import Decimal
from typing import Any

import psutil

from fix_analyzer import read
from fix_ray import until
from helix_ray.actors import api
from helix_ray.actors.analyzer import AnalyzerActor
from helix_ray.actors.queue import QueueActor
from helix_ray.actors.throttle import ThrottleActor
from helix_ray.config import Config
from helix_ray.environment.secrets import Secret
from helix_ray.records import ReadBatch, TokenUsage
from helix_ray.throttle.governor import PERMIT_GRACE_S
from helix_ray.throttle.messages import PermitRequest, Settlement

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
    [probe] = (await throttle.acquire.remote("test", [PermitRequest("first", 1, 1, Decimal(0))])).grants
    await throttle.settle.remote("test", [Settlement(probe.permit_id, "answered", TokenUsage(1, 0, 1), Decimal(0))])
    await queue.open.remote([], 1)
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
