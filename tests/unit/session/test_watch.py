import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from helix_ray.actors import api
from helix_ray.actors.group import CallFailure, FailureKind
from helix_ray.config import Config
from helix_ray.environment.logs import Event
from helix_ray.environment.secrets import Secret
from helix_ray.metrics.snapshot import ActorView, MetricsSnapshot, RunInfo
from helix_ray.queueing.bounded_queue import BoundedQueue
from helix_ray.queueing.messages import QueueStats
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.session import watch as module
from helix_ray.session.plan import Plan
from helix_ray.session.watch import Watch
from helix_ray.supervision.endings import decide


def stats(incarnation: str, depth: int, blocked: float) -> QueueStats:
    queue = BoundedQueue(capacity=500, low_watermark=100, lease_timeout_s=60, incarnation=incarnation)
    return replace(queue.stats(0.0), max_queue_depth=depth, blocked_seconds=blocked)


def test_maxima_and_blocked_time_of_the_queue_survive_restarts() -> None:
    unused = cast(Any, None)
    plan = Plan(Config(), "run", Path("home"), Secret("url"), None, row=unused, simulated=True)
    watch = Watch(plan, group=unused, run_info=RunInfo(), emulator_error=lambda: None)
    assert watch.queue is None
    for incarnation, depth, blocked in (("a", 10, 1.0), ("a", 500, 2.0), ("b", 0, 0.0), ("b", 20, 3.0), ("b", 30, 4.0), ("c", 5, 0.5)):
        watch.note_queue(stats(incarnation, depth, blocked))
    assert watch.queue is not None
    assert (watch.queue.incarnation, watch.queue.max_queue_depth, watch.queue.blocked_seconds) == ("c", 500, 6.5)


class SilentGroup:
    """No part answers."""

    producers = analyzers = ()

    def send(self, *_: object) -> "SilentGroup":
        return self

    def value(self) -> None:
        return None

    answer = value

    def collect(self, *_: object, timeout_s: float) -> Mapping[str, object]:
        return {}

    def ended_loops(self) -> Mapping[str, object]:
        return {}


def test_a_run_that_has_lasted_as_long_as_it_may_ends_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "wait_for", lambda *_, **__: None)
    config = Config.model_validate({"run": {"max_duration_s": 60}})
    plan = Plan(config, "run", Path("home"), Secret("url"), None, row=cast(Any, None), simulated=True)
    watch = Watch(plan, group=cast(Any, SilentGroup()), run_info=RunInfo(), emulator_error=lambda: None)
    assert decide(watch.look(signals=0)) is None
    watch.started_at -= 60
    ending = decide(watch.look(signals=0))
    assert ending is not None
    assert ending.exit_code(stored=1, dead_letters=0) == 3
    assert ending.reason == "run.max_duration_s: 60 s have passed"


def test_a_part_in_charge_that_left_the_drivers_node_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "wait_for", lambda *_, **__: None)
    group = SilentGroup()
    monkeypatch.setattr(group, "services", [api.SINK], raising=False)
    plan = Plan(Config(), "run", Path("home"), Secret("url"), None, row=cast(Any, None), simulated=True)
    watch = Watch(plan, group=cast(Any, group), run_info=RunInfo(driver_node="10.0.0.1/aa"), emulator_error=lambda: None)
    actors = [
        ActorView("helix-sink", 0.0, node="10.0.0.1/aa", pss_mb=70.0),
        ActorView("helix-analyzer-0", 0.0, node="10.0.0.2/bb", pss_mb=50.0),
    ]
    watch._note_snapshot(MetricsSnapshot(as_of=0.0, run=RunInfo(run_id="run"), actors=tuple(actors)))
    assert decide(watch.look(signals=0)) is None
    assert watch.actors_mb == 120.0
    watch._note_snapshot(MetricsSnapshot(as_of=0.0, run=RunInfo(run_id="run"), actors=(replace(actors[0], node="10.0.0.2/bb"),)))
    ending = decide(watch.look(signals=0))
    assert ending is not None
    assert ending.exit_code(stored=1, dead_letters=0) != 0
    assert "helix-sink runs on node 10.0.0.2/bb, and the driver on 10.0.0.1/aa" in ending.reason


class RestartedGroup(SilentGroup):
    """Every call meets a dead actor, every ping its successor."""

    def answer(self) -> CallFailure:  # type: ignore[override]
        return CallFailure(FailureKind.UNAVAILABLE, ConnectionError("socket closed"))

    def collect(self, pings: Mapping[str, object], timeout_s: float) -> Mapping[str, object]:
        return dict.fromkeys(pings, "b")


def test_each_death_is_told_once_and_then_its_successor(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "wait_for", lambda *_, **__: None)
    monkeypatch.setattr(Watch, "_recover", lambda self: None)
    plan = Plan(Config(), "run", Path("home"), Secret("url"), None, row=cast(Any, None), simulated=True)
    watch = Watch(plan, group=cast(Any, RestartedGroup()), run_info=RunInfo(), emulator_error=lambda: None)
    services: list[api.Address[api.ActorApi]] = [api.METRICS, api.CONTROL, api.QUEUE, api.THROTTLE, api.SINK]
    watch.created(dict.fromkeys(services, "a"))
    with caplog.at_level(logging.INFO, "helix_ray"):
        watch.look(signals=0)
        watch.look(signals=0)
        watch._keep_alive(time.monotonic() + 10)
    told = [(record.msg, record.__dict__["facts"]) for record in caplog.records]
    assert [event for event, _ in told] == [Event.PEER_AWAY] * 5 + [Event.ACTOR_DIED, Event.ACTOR_RESTARTED] * 5
    assert {facts["peer"] for event, facts in told if event == Event.PEER_AWAY} == set(services)
    assert {(facts["part"], facts["was"]) for event, facts in told if event != Event.PEER_AWAY} == {(name, "a") for name in services}
    assert {facts["now"] for event, facts in told if event == Event.ACTOR_RESTARTED} == {"b"}


def test_only_a_new_queue_begins_to_count_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the sink is new, the same queue is told again what is done: what it has admitted must not be counted twice."""

    class Group(SilentGroup):
        incarnation = "a"

        def ask(self, *_: object) -> str:
            return self.incarnation

    group, done = Group(), IndexRanges()
    monkeypatch.setattr(module, "with_ledger", lambda *_: done)
    plan = Plan(Config(), "run", Path("home"), Secret("url"), None, row=cast(Any, None), simulated=True)
    watch = Watch(plan, group=cast(Any, group), run_info=RunInfo(), emulator_error=lambda: None)
    seen = []
    for incarnation, rows in (("a", 0), ("a", 40), ("b", 60)):
        group.incarnation = incarnation
        done.add_range(0, rows)
        assert watch._open_queue() is ((incarnation, rows) != ("a", 40)), "only to a new queue is all offered again"
        seen.append(watch.rows_at_open)
    assert seen == [0, 0, 60]
