"""The curve of a run: a point a second for an hour, every thirty seconds for a day, and a few hundred for its report."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from helix_ray.metrics.snapshot import HistoryPoint
from helix_ray.records import JsonObject

FINE_POINTS = 60 * 60
COARSE_S = 30.0
COARSE_POINTS = 24 * 60 * 2
REPORT_POINTS = 600


class History:
    """Bounded; oldest first. Where a coarse point and fine ones tell of the same time, the fine ones are given."""

    def __init__(self) -> None:
        self._fine: deque[HistoryPoint] = deque(maxlen=FINE_POINTS)
        self._coarse: deque[HistoryPoint] = deque(maxlen=COARSE_POINTS)
        self._open: list[HistoryPoint] = []  # of the next coarse point

    def add(self, point: HistoryPoint) -> None:
        """Points come in the order of their times."""
        if self._open and point.t // COARSE_S != self._open[0].t // COARSE_S:
            self._coarse.append(merged(self._open, COARSE_S))
            self._open.clear()
        self._open.append(point)
        self._fine.append(point)

    @property
    def last(self) -> HistoryPoint | None:
        return self._fine[-1] if self._fine else None

    def since(self, t: float) -> list[HistoryPoint]:
        """Points later than ``t`` (Unix seconds)."""
        begin = self._fine[0].t if self._fine else 0.0
        return [point for point in self._coarse if t < point.t < begin] + [point for point in self._fine if point.t > t]


def merged(points: Sequence[HistoryPoint], step_s: float) -> HistoryPoint:
    """One point for several: the most that waited, averages of rates, totals as they were at the end. None where none is known."""
    summaries: dict[str, Callable[[list[Any]], Any]] = {
        "t": max, "waiting": max, "redelivered": max, "leased": max, "latency_ms_p95": max, "in_flight": max, "http_429": max,
        "spent_usd": max, "blocked": any, "paused": any, "offered": _average, "analysed": _average, "stored": _average,
    }  # fmt: skip
    known = {name: [value for point in points if (value := getattr(point, name)) is not None] for name in summaries}
    summed: dict[str, Any] = {name: summaries[name](values) if values else None for name, values in known.items()}
    return HistoryPoint(**summed, step_s=step_s)


def as_columns(points: Sequence[HistoryPoint], most: int = REPORT_POINTS) -> JsonObject | None:
    """The report's ``history``: equally long lists, with at most ``most`` points of equal steps; None without a point.

    A step in which nothing was heard has no point.
    """
    if not points:
        return None
    begin, span = points[0].t - points[0].step_s, points[-1].t - points[0].t + points[0].step_s
    step_s = max(1.0, -(-span // most), *(point.step_s for point in points))
    steps: dict[int, list[HistoryPoint]] = {}
    for point in points:
        steps.setdefault(min(most - 1, int((point.t - begin) / step_s)), []).append(point)
    shown = [merged(group, step_s) for group in steps.values()]
    names = [item.name for item in fields(HistoryPoint) if item.name != "step_s"]
    return {"step_s": step_s, **{name: [_rounded(getattr(point, name)) for point in shown] for name in names}}


def from_columns(columns: Mapping[str, Any] | None) -> list[HistoryPoint]:
    """What `as_columns` gave. Raises KeyError or TypeError for what it did not write."""
    if columns is None:
        return []
    lists = {item.name: columns[item.name] for item in fields(HistoryPoint) if item.name != "step_s"}
    rows: Iterable[tuple[Any, ...]] = zip(*lists.values(), strict=True)
    return [HistoryPoint(**dict(zip(lists, row, strict=True)), step_s=columns["step_s"]) for row in rows]


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _rounded(value: float | None) -> float | None:
    return round(value, 6) if isinstance(value, float) else value
