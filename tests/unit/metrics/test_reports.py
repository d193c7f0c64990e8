"""Every number that an actor reports says what a restart does to it, and reaches Prometheus."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from helix_ray.actors.prometheus import MAX_METRICS, numbers_of
from helix_ray.metrics.reports import AnalyzerReport, ProcessReport
from helix_ray.records.marks import Kind, kind_of
from helix_ray.scoring.tally import Counts
from helix_ray.throttle.messages import BucketStats, ThrottleStats
from support.actor_reports import REPORTS, empty_report

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
        values |= {"failed": {"a": 1}, "tier": {"a": 1}, "reads": {"a": 1}, "off_by": {-1: 1}}
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
