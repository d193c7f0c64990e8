"""The once-a-second loop of every actor, with its peers up and down."""

import asyncio
import time
from typing import Any
from unittest.mock import Mock

import pytest
from ray.exceptions import ActorDiedError

from helix_ray.actors import heartbeat
from helix_ray.actors.heartbeat import TICK_S, Heartbeat, LoopLag, ProcessStats
from helix_ray.clock import SystemClock
from helix_ray.errors import DatabaseLostError
from helix_ray.metrics.reports import ProducerReport
from helix_ray.records import DesiredState
from support.manual_clock import ManualClock


@pytest.fixture(autouse=True)
def without_prometheus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "PrometheusMirror", lambda source: Mock())


class Peers:
    def __init__(self, state: DesiredState) -> None:
        self.state = state
        self.failures: dict[str, Exception | None] = {}
        self.reports: list[tuple[Any, ...]] = []

    def heart(self) -> Heartbeat:
        return Heartbeat(self._desired, self._report)

    async def _desired(self) -> DesiredState:
        self._fail("state")
        return self.state

    async def _report(self, *args: object) -> None:
        self._fail("report")
        self.reports.append(args)

    def _fail(self, method: str) -> None:
        failure = self.failures.get(method)
        if failure is not None:
            raise failure


async def test_a_new_state_is_applied_once_and_reported() -> None:
    peers, applied = Peers(DesiredState(version=3, paused=True)), []
    heart = peers.heart()
    for _ in range(2):
        await heart.once("helix-producer-0", lambda: ProducerReport(produced=5), applied.append)
    assert applied == [peers.state]
    source, report, process, version = peers.reports[-1]
    assert (source, report, version) == ("helix-producer-0", ProducerReport(produced=5), 3)
    assert process.pss_mb > 0
    assert process.started_at > 0


async def test_applying_may_take_a_while() -> None:
    peers, applied = Peers(DesiredState(version=1)), []

    async def apply(state: DesiredState) -> None:
        applied.append(state.version)

    await peers.heart().once("helix-analyzer-0", ProducerReport, apply)
    assert applied == [1]


async def test_a_beat_goes_on_without_its_peers() -> None:
    peers, applied = Peers(DesiredState(version=2)), []
    heart = peers.heart()
    await heart.once("helix-sink", ProducerReport, applied.append)
    peers.failures = {"state": DatabaseLostError("away"), "report": ActorDiedError()}
    await heart.once("helix-sink", ProducerReport, applied.append)
    assert (len(applied), heart.version, len(peers.reports)) == (1, 2, 1)


async def test_a_late_event_loop_is_measured() -> None:
    clock = ManualClock()
    lag = LoopLag(clock)
    measuring = asyncio.create_task(lag.run())
    await clock.until_sleeping()
    assert lag.take_ms() is None
    for late_s in (0.0, 0.2):
        clock.tick(TICK_S + late_s)
        await asyncio.sleep(0)
        await clock.until_sleeping()
    assert lag.take_ms() == pytest.approx(100.0)
    assert lag.take_ms() is None
    measuring.cancel()


async def test_the_share_of_a_core_is_that_since_the_last_look() -> None:
    stats = ProcessStats(SystemClock())
    first = await stats.take()
    assert (first.cpu_s > 0, first.machine_cores >= 1) == (True, True)
    assert first.cpu_share is None
    until = time.thread_time() + 0.3
    while time.thread_time() < until:
        pass
    second = await stats.take()
    assert 0.05 < (second.loop_busy or 0.0) <= 1.0
    assert (second.cpu_share or 0.0) > 0.05
    assert 0.0 <= (second.machine_busy or 0.0) <= 1.0
    assert second.cpu_s >= first.cpu_s + 0.2
