"""Reports of actors: counters survive a restart, every number has its kind and reaches Prometheus."""

import json
import math
import pickle
import re
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from helix_ray.actors.prometheus import MAX_METRICS, numbers_of
from helix_ray.metrics.aggregates import Incarnations
from helix_ray.metrics.reports import AnalyzerReport, ProcessReport, SinkReport
from helix_ray.metrics.snapshot import ActorView
from helix_ray.queueing.messages import QueueStats
from helix_ray.records.marks import Kind, kind_of
from helix_ray.scoring.tally import Counts
from helix_ray.throttle.messages import BucketStats, ThrottleStats
from support.actor_reports import REPORTS, empty_report

ROOT = Path(__file__).parents[3]


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


TYPES = [*REPORTS.values(), ProcessReport, BucketStats]
NUMBERS = (int, float, bool, Decimal, Counts)


def holds_numbers(hint: Any) -> bool:
    if get_origin(hint) in (dict, Mapping):
        return holds_numbers(get_args(hint)[1])
    return any(map(holds_numbers, get_args(hint))) if get_origin(hint) is UnionType else hint in NUMBERS


def full(kind: type[Any]) -> Any:
    """A report in which every number is known."""
    values: dict[str, Any] = {item.name: 1 for item in fields(kind) if kind_of(item) is not None}
    if kind is AnalyzerReport:
        values |= {"failed": {"a": 1}, "tier": {"a": 1}, "left_out": {"a": 1}, "reads": {"a": 1}, "off_by": {-1: 1}}
        values |= {name: {("type", "SNV"): Counts(tp=1)} for name in ("score", "ceiling")}
    if kind is ThrottleStats:
        values["buckets"] = {"TPM flex": BucketStats(1, "configured", 1, 1, 1, 1, 1)}
    return empty_report(kind, **values)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_every_number_declares_its_kind(kind: type[Any]) -> None:
    hints = get_type_hints(kind)
    assert [item.name for item in fields(kind) if kind_of(item)] == [item.name for item in fields(kind) if holds_numbers(hints[item.name])]


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_every_marked_number_is_exported(kind: type[Any]) -> None:
    exported = list(numbers_of(full(kind)))
    for item in fields(kind):
        if (marked := kind_of(item)) is not None:
            name = item.metadata.get("name", item.name)
            suffix = "_total" if marked is Kind.COUNTER else ""
            assert [each for each in exported if each[0].startswith(name) and each[0].endswith(suffix) and each[1] is marked], name
    assert len({name for name, _, _ in exported}) == len(exported)


def test_a_name_has_one_kind_whoever_reports_it() -> None:
    kinds: dict[str, set[Kind]] = {}
    for kind in TYPES:
        for name, marked, _ in numbers_of(full(kind)):
            kinds.setdefault(name, set()).add(marked)
    assert not {name for name, found in kinds.items() if len(found) > 1}
    assert len(kinds) < MAX_METRICS


def test_dashboard_and_alerts_name_metrics_that_there_are_and_that_are_explained() -> None:
    texts = {name: (ROOT / "deploy" / name).read_text() for name in ("grafana.json", "alerts.yaml")}
    queries = [target["expr"] for panel in json.loads(texts["grafana.json"])["panels"] for target in panel["targets"]]
    rules = [rule["expr"] for group in yaml.safe_load(texts["alerts.yaml"])["groups"] for rule in group["rules"]]
    assert len(queries) > 20
    assert len({*rules}) == texts["alerts.yaml"].count("- alert:") == texts["alerts.yaml"].count("summary:")
    there_are = {name for kind in TYPES for name, _, _ in numbers_of(full(kind))}
    explained = (ROOT / "docs/operations.md").read_text().split("## Prometheus")[1]
    for expr in (*queries, *rules):
        names = re.findall(r"ray_helix_(\w+)", expr)
        assert names, expr
        assert not {re.sub("^bucket_[a-z]+_", "bucket_TPM_flex_", name) for name in names} - there_are, expr
        assert not [name for name in names if f"`{name}`" not in explained], expr
        assert not re.search(r"(?:rate|increase)\(ray_helix_\w+(?<!_total)[\[{]", expr), f"{expr}: only counters have a rate"


def test_names_in_mappings_are_appended() -> None:
    scores = {("type", "SNV"): Counts(tp=2), ("gc", "0.3-0.4"): Counts(tp=5)}
    report = empty_report(AnalyzerReport, score=scores, off_by={-1: 3}, failed={"server": 4})
    exported = {name: value for name, _, value in numbers_of(report)}
    assert (exported["score_type_SNV_tp_total"], exported["off_by__1_total"], exported["failed_server_total"]) == (2, 3, 4)
    assert not [name for name in exported if "gc" in name], "hundreds of names"
    assert exported["latency_ms_p50"] is None
    assert "score_type_SNV_fn_total" not in exported, "zeros of scores are left out"


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_reports_travel(kind: type[Any]) -> None:
    assert pickle.loads(pickle.dumps(full(kind))) == full(kind)
