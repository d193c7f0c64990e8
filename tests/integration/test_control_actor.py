"""The control actor in a real Ray with a real ledger: recorded, applied, in effect, and rebuilt after its death."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest

from fix_ray import StartActor
from helix_ray.actors import api, heartbeat, peers
from helix_ray.actors.control import ControlActor
from helix_ray.actors.heartbeat import Heartbeat
from helix_ray.actors.metrics import MetricsActor
from helix_ray.client import command
from helix_ray.environment.secrets import Secret
from helix_ray.metrics.reports import ProducerReport
from helix_ray.records import Action, ControlEvent, ControlOutcome, DesiredState
from helix_ray.storage.ledger import RunRow
from helix_ray.storage.postgres import PostgresLedger

RUN_ID = "7b1c6a52-9f7e-4a51-8a53-0d5a3a0f1c77"


async def until(what: Callable[[], Any]) -> Any:
    """The first answer that is true; asks again, for ever: the test's own timeout ends it."""
    while True:
        answer = await what()
        if answer:
            return answer


async def test_a_command_goes_all_the_way(
    start_actor: StartActor, database_url: str, ray_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "PrometheusMirror", lambda source: Mock())
    ledger = await PostgresLedger.connect(database_url)
    await ledger.start_run(RunRow(RUN_ID, "demo", "{}", "c0ffee", 1, {}, None, datetime.now(UTC), "emulator", True))
    start_actor(MetricsActor, api.METRICS)
    control = start_actor(ControlActor, api.CONTROL, RUN_ID, time.time())
    running = control.run.options(max_task_retries=-1).remote(Secret(database_url))

    applied: list[DesiredState] = []
    beat = asyncio.create_task(Heartbeat().beat(api.producer(0), lambda: ProducerReport(produced=1), applied.append))
    pause = command(Action.PAUSE, actor="test", reason="a test")
    ack = await peers.call(api.CONTROL, api.ControlApi.send, pause)
    assert ack.accepted
    assert await peers.call(api.CONTROL, api.ControlApi.send, pause) == ack

    async def marked() -> tuple[ControlEvent, ControlOutcome] | None:
        ((event, outcome),) = await ledger.controls(RUN_ID)
        return (event, outcome) if outcome.in_effect_at is not None else None

    event, outcome = await until(marked)
    assert (event.action, event.reason, outcome.accepted) == ("pause", "a test", True)
    assert applied[-1].paused
    snapshot = await peers.call(api.METRICS, api.MetricsApi.snapshot)
    assert snapshot.control.adopted >= 1

    before = await peers.call(api.CONTROL, api.ControlApi.ping)
    ray_cluster.kill(control, no_restart=False)

    async def is_back() -> bool:
        return bool(await peers.call_within(5.0, api.CONTROL, api.ControlApi.ping) != before)

    assert await until(is_back)
    state = await peers.call(api.CONTROL, api.ControlApi.state)
    assert (state.paused, state.version) == (True, 1)
    assert (await peers.call(api.CONTROL, api.ControlApi.send, pause)).version == 1
    assert len(await ledger.controls(RUN_ID)) == 1
    beat.cancel()
    del running
    await ledger.aclose()
