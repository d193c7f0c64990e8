"""The reports once more as Ray metrics, for Prometheus: ``ray_helix_<field>{actor="helix-queue"}``, counters with ``_total``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from ray.util.metrics import Counter, Gauge

from helix_ray.records.marks import Kind, kind_of
from helix_ray.scoring.tally import Counts

UNMIRRORED = re.compile(r"score_(?!type_)")
"""Scores by every dimension but the type of variant: hundreds of names, which the report and the page have."""

MAX_METRICS = 200
"""Names come from our own code; the bound keeps a mistake there from growing Prometheus without end."""


class PrometheusMirror:
    """Creates each metric when its number is first known. Tags hold the actor's name only, never anything of a read."""

    def __init__(self, actor: str) -> None:
        self._tags = {"actor": actor}
        self._metrics: dict[str, Counter | Gauge] = {}
        self._counted: dict[str, float] = {}  # what each counter was increased to

    def show(self, *reports: object) -> None:
        """Absolute values. A gauge that is not known any more becomes NaN."""
        for report in reports:
            for name, kind, value in numbers_of(report):
                self._show(name, kind, value)

    def _show(self, name: str, kind: Kind, value: float | None) -> None:
        known = value is not None and math.isfinite(value)
        metric = self._metrics.get(name)
        if metric is None:
            if not known or len(self._metrics) >= MAX_METRICS:
                return
            metric = self._metrics[name] = (Counter if kind is Kind.COUNTER else Gauge)(f"helix_{name}", tag_keys=("actor",))
        if isinstance(metric, Gauge):
            metric.set(value if known and value is not None else math.nan, self._tags)
        elif value is not None and known and value > (before := self._counted.get(name, 0.0)):
            metric.inc(value - before, self._tags)
            self._counted[name] = value


def numbers_of(report: Any) -> Iterator[tuple[str, Kind, float | None]]:
    """Every number of a report with its name for Prometheus; names of numbers in mappings are appended to the field's."""
    for item in fields(report):
        for name, kind, value in _flat(item.metadata.get("name", item.name), kind_of(item), getattr(report, item.name)):
            if not UNMIRRORED.match(name):
                yield (f"{name}_total" if kind is Kind.COUNTER else name), kind, value


def _flat(name: str, kind: Kind | None, value: Any) -> Iterator[tuple[str, Kind, float | None]]:
    if isinstance(value, Counts):
        value = {field: count for field, count in value._asdict().items() if count}
    if isinstance(value, Mapping):
        for key, each in value.items():
            suffix = "_".join(key) if isinstance(key, tuple) else str(key)
            yield from _flat(f"{name}_{re.sub(r'[^a-zA-Z0-9_]', '_', suffix)}", kind, each)
    elif is_dataclass(value):
        for item in fields(value):
            yield from _flat(f"{name}_{item.name}", kind_of(item), getattr(value, item.name))
    elif kind is not None:
        yield name, kind, None if value is None else float(value)
