"""One reporting actor across all its incarnations."""

from __future__ import annotations

import math
from collections.abc import Mapping

from helix_ray.metrics.kinds import Kind, kind_of, role_of

STARTED_AT = "started_at"  # Unix seconds of the reporting process's start; changes exactly when the actor was restarted


class Reporter:
    """Adds up absolute counters that start again from zero whenever their actor does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.role = role_of(name)
        self.last_seen = 0.0  # monotonic seconds
        self.restarts = 0
        self.version = 0
        self.text: dict[str, str] = {}
        self._latest: dict[str, float] = {}
        self._earlier: dict[str, float] = {}  # what former incarnations counted
        self._first: dict[str, float] = {}  # counted before the first report was seen
        self._known = False

    def report(self, counters: Mapping[str, float], version: int, text: Mapping[str, str], now: float) -> None:
        finite = {name: float(value) for name, value in counters.items() if math.isfinite(value)}
        if self._has_restarted(finite):
            self.restarts += 1
            for name, value in self._latest.items():
                if kind_of(name) is Kind.COUNTER:
                    self._earlier[name] = self._earlier.get(name, 0.0) + value
            self._latest = {name: value for name, value in self._latest.items() if kind_of(name) is Kind.MAXIMUM}
        for name, value in finite.items():
            keeps_height = kind_of(name) is Kind.MAXIMUM
            self._latest[name] = max(value, self._latest.get(name, value)) if keeps_height else value
        if not self._known:
            self._first, self._known = dict(self._latest), True
        self.text = dict(text)
        self.version = version
        self.last_seen = now

    def total(self, name: str) -> float:
        """A counter over all incarnations, a maximum's height, a gauge's latest value; 0 when never reported."""
        return self._latest.get(name, 0.0) + self._earlier.get(name, 0.0)

    def gauge(self, name: str) -> float | None:
        return self._latest.get(name)

    def progress(self, name: str) -> float:
        """What a counter gained since its first report was seen: a rate must not jump when the observer itself starts late."""
        return self.total(name) - self._first.get(name, 0.0)

    def names(self) -> set[str]:
        return self._latest.keys() | self._earlier.keys()

    def _has_restarted(self, counters: Mapping[str, float]) -> bool:
        if not self._known:
            return False
        before, after = self._latest.get(STARTED_AT), counters.get(STARTED_AT)
        if before is not None and after is not None:
            return before != after
        # A report without a start time: a counter never falls while its process lives. The tolerance is for sums of floats.
        return any(value < self._latest.get(name, value) - 1e-9 for name, value in counters.items() if kind_of(name) is Kind.COUNTER)
