"""Absolute counters that survive the restart of their actor."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.metrics.incarnations import Incarnations
from helix_ray.metrics.reports import AnalyzerReport, SinkReport
from helix_ray.metrics.snapshot import ActorView
from helix_ray.queueing.messages import QueueStats
from helix_ray.records.marks import Kind, kind_of
from helix_ray.scoring.tally import Counts
from helix_ray.throttle.messages import ThrottleStats
from support.actor_reports import REPORTS, empty_report


def incarnations(kind: type[Any], *reports: tuple[float, dict[str, Any]]) -> Incarnations[Any]:
    """Of these reports, each with its process's start."""
    (started_at, values), *others = reports
    made: Incarnations[Any] = Incarnations(empty_report(kind, **values), started_at)
    for start, each in others:
        made.report(empty_report(kind, **each), start)
    return made


def test_a_counter_that_fell_adds_its_old_value() -> None:
    queue = incarnations(QueueStats, (1.0, {"admitted": 100, "waiting": 7}), (2.0, {"admitted": 30, "waiting": 2}))
    assert (queue.total.admitted, queue.total.waiting, queue.restarts) == (130, 2, 1)
    queue.report(empty_report(QueueStats, admitted=40), 2.0)
    assert (queue.total.admitted, queue.restarts) == (140, 1)


def test_a_restart_is_seen_by_its_start_time_even_when_the_counter_is_already_higher() -> None:
    sink = incarnations(SinkReport, (1.0, {"committed_reads": 5}), (2.0, {"committed_reads": 7}))
    assert (sink.total.committed_reads, sink.restarts) == (12, 1)


def test_maxima_are_kept_and_gauges_are_not_added_up() -> None:
    before = {"spent_usd": Decimal("0.5"), "in_flight": 8, "http_429": 3, "max_cost_usd": Decimal(1), "concurrency": 4}
    after = {"in_flight": 1, "max_cost_usd": Decimal("0.5")}
    throttle = incarnations(ThrottleStats, (1.0, before), (2.0, after)).total
    assert incarnations(QueueStats, (1.0, {"max_leased": 90}), (2.0, {"max_leased": 4})).total.max_leased == 90
    assert (throttle.spent_usd, throttle.http_429) == (Decimal("0.5"), 3)
    assert (throttle.in_flight, throttle.max_cost_usd, throttle.concurrency) == (1, Decimal("0.5"), None)


def test_counts_by_name_are_added_up_name_by_name() -> None:
    before = {"failed": {"server": 2, "capacity": 1}, "score": {("type", "SNV"): Counts(tp=3, fn=1)}}
    after = {"failed": {"server": 1, "transport": 5}, "score": {("type", "SNV"): Counts(tp=1), ("gc", "0.3-0.4"): Counts(fp=1)}}
    total = incarnations(AnalyzerReport, (1.0, before), (2.0, after)).total
    assert total.failed == {"server": 3, "capacity": 1, "transport": 5}
    assert total.score == {("type", "SNV"): Counts(tp=4, fn=1), ("gc", "0.3-0.4"): Counts(fp=1)}


def test_progress_begins_with_the_first_report_seen() -> None:
    analyzer = incarnations(AnalyzerReport, (1.0, {"analysed": 1000}))
    assert analyzer.progress(lambda it: it.analysed) == 0
    analyzer.report(empty_report(AnalyzerReport, analysed=1010), 1.0)
    analyzer.report(empty_report(AnalyzerReport, analysed=5), 2.0)
    assert analyzer.progress(lambda it: it.analysed) == 15


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_left_out(value: float) -> None:
    queue = incarnations(QueueStats, (0.0, {"blocked_seconds": 1.0}), (1.0, {"blocked_seconds": 3.0}), (1.0, {"blocked_seconds": value}))
    assert queue.total.blocked_seconds == 4.0
    assert incarnations(QueueStats, (0.0, {"blocked_seconds": value})).total.blocked_seconds == 0.0


@given(st.lists(st.lists(st.integers(0, 1000), min_size=1), min_size=1))
def test_the_total_is_the_sum_over_all_lives(lives: list[list[int]]) -> None:
    sink = Incarnations(empty_report(SinkReport), 0.0)
    for number, gains in enumerate(lives):
        counted = 0
        for gain in gains:
            counted += gain
            sink.report(empty_report(SinkReport, committed_reads=counted), float(number))
    assert sink.total.committed_reads == sum(map(sum, lives))


@pytest.mark.parametrize(
    ("role", "name", "kind"),
    [
        ("queue", "admitted", Kind.COUNTER),
        ("analyzer", "score", Kind.COUNTER),
        ("queue", "waiting", Kind.GAUGE),
        ("queue", "max_held", Kind.MAXIMUM),
        ("throttle", "max_cost_usd", Kind.GAUGE),
    ],
)
def test_kinds(role: str, name: str, kind: Kind) -> None:
    declared: dict[str, Any] = REPORTS[role].__dataclass_fields__
    assert kind_of(declared[name]) is kind


def test_roles() -> None:
    assert [ActorView(name, 0.0).role for name in ("helix-producer-12", "helix-queue")] == ["producer", "queue"]
