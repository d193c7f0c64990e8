"""What Prometheus is given of a report: counters grow by what was counted, gauges are set."""

from __future__ import annotations

import math
from typing import Any

import pytest

from helix_ray.actors import prometheus
from helix_ray.actors.prometheus import PrometheusMirror
from helix_ray.queueing.messages import QueueStats
from helix_ray.throttle.messages import ThrottleStats
from support.actor_reports import empty_report

TAGS = {"actor": "helix-queue"}


class Metric:
    made: dict[str, Metric]

    def __init__(self, name: str, tag_keys: tuple[str, ...]) -> None:
        assert tag_keys == ("actor",)
        self.values: list[float] = []
        self.made[name] = self


class FakeGauge(Metric):
    def set(self, value: float, tags: dict[str, str]) -> None:
        assert tags == TAGS
        self.values.append(value)


class FakeCounter(Metric):
    def inc(self, value: float, tags: dict[str, str]) -> None:
        assert (tags, value > 0) == (TAGS, True)
        self.values.append(value)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Metric]:
    Metric.made = {}
    monkeypatch.setattr(prometheus, "Gauge", FakeGauge)
    monkeypatch.setattr(prometheus, "Counter", FakeCounter)
    return Metric.made


def show(kind: type[Any], *reports: dict[str, Any]) -> None:
    mirror = PrometheusMirror("helix-queue")
    for values in reports:
        mirror.show(empty_report(kind, **values))


def test_counters_grow_and_gauges_are_set(made: dict[str, Metric]) -> None:
    show(QueueStats, {"admitted": 5, "waiting": 7}, {"admitted": 5, "waiting": 2}, {"admitted": 9, "waiting": 2})
    counter, gauge = made["helix_admitted_total"], made["helix_waiting"]
    assert (type(counter), counter.values) == (FakeCounter, [5.0, 4.0])
    assert (type(gauge), gauge.values) == (FakeGauge, [7.0, 2.0, 2.0])


def test_what_is_not_known_any_more_is_not_shown_as_it_was(made: dict[str, Metric]) -> None:
    show(ThrottleStats, {"concurrency": None}, {"concurrency": 6}, {"concurrency": None}, {"gate_closed_for_s": math.inf})
    (known, *unknown) = made["helix_concurrency"].values
    assert (known, [math.isnan(value) for value in unknown]) == (6.0, [True, True])
    assert math.isnan(made["helix_gate_closed_for_s"].values[-1])


def test_there_is_a_bound(made: dict[str, Metric], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "MAX_METRICS", 3)
    show(QueueStats, {}, {})
    assert len(made) == 3
