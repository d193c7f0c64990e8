"""Absolute counters that survive the restart of their actor."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.metrics.incarnations import STARTED_AT, Reporter
from helix_ray.metrics.kinds import Kind, kind_of, role_of


def report(reporter: Reporter, now: float = 0.0, **counters: float) -> None:
    reporter.report(counters, 0, {}, now)


def test_a_counter_that_fell_adds_its_old_value() -> None:
    reporter = Reporter("helix-queue")
    report(reporter, admitted=100, waiting=7)
    report(reporter, admitted=30, waiting=2)
    assert (reporter.total("admitted"), reporter.gauge("waiting"), reporter.restarts) == (130, 2, 1)
    report(reporter, admitted=40)
    assert (reporter.total("admitted"), reporter.restarts) == (140, 1)


def test_a_restart_is_seen_by_its_start_time_even_when_the_counter_is_already_higher() -> None:
    reporter = Reporter("helix-sink")
    report(reporter, committed_reads=5, **{STARTED_AT: 1.0})
    report(reporter, committed_reads=7, **{STARTED_AT: 2.0})
    assert (reporter.total("committed_reads"), reporter.restarts) == (12, 1)


def test_maxima_are_kept_and_gauges_are_not_added_up() -> None:
    reporter = Reporter("helix-throttle")
    report(reporter, max_leased=90, spent_usd=0.5, in_flight=8, http_429=3, max_cost_usd=1.0)
    report(reporter, max_leased=4, spent_usd=0.0, in_flight=1, http_429=0, max_cost_usd=0.5)
    assert (reporter.total("max_leased"), reporter.total("spent_usd"), reporter.total("http_429")) == (90, 0.5, 3)
    assert (reporter.gauge("in_flight"), reporter.gauge("max_cost_usd")) == (1, 0.5)


def test_progress_begins_with_the_first_report_seen() -> None:
    reporter = Reporter("helix-analyzer-0")
    report(reporter, analysed=1000)
    assert reporter.progress("analysed") == 0
    report(reporter, analysed=1010)
    report(reporter, analysed=5)
    assert reporter.progress("analysed") == 15


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_left_out(value: float) -> None:
    reporter = Reporter("helix-queue")
    report(reporter, admitted=3)
    report(reporter, admitted=value)
    assert reporter.total("admitted") == 3


@given(st.lists(st.lists(st.integers(0, 1000), min_size=1), min_size=1))
def test_the_total_is_the_sum_over_all_lives(lives: list[list[int]]) -> None:
    reporter = Reporter("helix-sink")
    for number, gains in enumerate(lives):
        counted = 0
        for gain in gains:
            counted += gain
            report(reporter, committed_reads=counted, **{STARTED_AT: float(number)})
    assert reporter.total("committed_reads") == sum(map(sum, lives))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("admitted", Kind.COUNTER),
        ("score.type.SNV.tp", Kind.COUNTER),
        ("waiting", Kind.GAUGE),
        ("max_held", Kind.MAXIMUM),
        ("max_cost_usd", Kind.GAUGE),
    ],
)
def test_kinds(name: str, kind: Kind) -> None:
    assert kind_of(name) is kind


def test_roles() -> None:
    assert [role_of(name) for name in ("helix-producer-12", "helix-queue")] == ["producer", "queue"]
