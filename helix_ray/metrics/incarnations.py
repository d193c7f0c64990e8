"""One reporting actor across all its incarnations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, Generic, TypeVar

from helix_ray.records.marks import Kind, kind_of
from helix_ray.scoring.tally import Counts

T = TypeVar("T", bound=Any)  # a frozen dataclass whose fields carry marks


class Incarnations(Generic[T]):
    """``total`` is the report of an actor as if it had never died: its own counters start again from zero whenever it does.

    ``latest`` is its last report as it was sent.
    """

    def __init__(self, first: T, started_at: float) -> None:
        self.first = self.total = self.latest = _finite(first, None)
        self.restarts = 0
        self._started_at = started_at
        self._before: T | None = None  # the total of all incarnations but the latest

    def report(self, report: T, started_at: float) -> None:
        """``started_at`` belongs to the reporting process: another value is another incarnation."""
        if started_at != self._started_at:
            self._started_at, self._before = started_at, self.total
            self.restarts += 1
        self.latest = _finite(report, self.latest)
        highest, total = self.total, self.latest if self._before is None else added(self._before, self.latest)
        self.total = _with(total, Kind.MAXIMUM, lambda name, value: max(getattr(highest, name), value))

    def progress(self, counter: Callable[[T], float]) -> float:
        """What a counter gained since its first report was seen: a rate must not jump when the observer itself starts late."""
        return counter(self.total) - counter(self.first)


def added(before: T, now: T) -> T:
    """The report ``now`` with the counters of both."""
    return _with(now, Kind.COUNTER, lambda name, value: _sum(getattr(before, name), value))


def _with(report: T, kind: Kind, value_of: Callable[[str, Any], Any]) -> T:
    names = [item.name for item in fields(report) if kind_of(item) is kind]
    changed: T = replace(report, **{name: value_of(name, getattr(report, name)) for name in names})
    return changed


def _sum(before: Any, now: Any) -> Any:
    if isinstance(now, Mapping):
        return {**before, **now, **{name: _sum(before[name], now[name]) for name in before.keys() & now.keys()}}
    return before.plus(now) if isinstance(now, Counts) else before + now


def _finite(report: T, earlier: T | None) -> T:
    """A number that is not finite is replaced by the ``earlier`` report's."""
    values = {item.name: getattr(report, item.name) for item in fields(report)}
    strange = [name for name, value in values.items() if isinstance(value, float) and not math.isfinite(value)]
    changed: T = replace(report, **{name: getattr(earlier, name, 0.0) for name in strange}) if strange else report
    return changed
