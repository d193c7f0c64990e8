"""``helix-metrics``: one place that every actor reports to and every viewer asks. Losing it never stops the run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from helix_ray.actors.api import METRICS, MetricsApi, begin_incarnation

if TYPE_CHECKING:
    from helix_ray.environment.logs import RunLog
    from helix_ray.metrics.recent import RecentRead
    from helix_ray.metrics.reports import ProcessReport, Report
    from helix_ray.metrics.snapshot import HistoryPoint, MetricsSnapshot, RunInfo


class MetricsActor(MetricsApi):
    """Comes back empty: absolute counters refill it within a second, the driver sets the run again."""

    def __init__(self, run_log: RunLog | None = None) -> None:
        from helix_ray.metrics.aggregator import MetricsAggregator  # noqa: PLC0415  (not for viewers: Ray imports this file for a handle)

        self._incarnation = begin_incarnation(METRICS, run_log)
        self._aggregator = MetricsAggregator()

    async def ping(self) -> str:
        return self._incarnation

    async def set_run(self, info: RunInfo) -> None:
        self._aggregator.run = info

    async def report(self, source: str, report: Report, process: ProcessReport, version: int) -> int:
        return self._aggregator.report(source, report, process, version, time.monotonic(), unix_now=time.time())

    async def add_recent(self, reads: list[RecentRead]) -> None:
        self._aggregator.add_recent(reads)

    async def snapshot(self) -> MetricsSnapshot:
        return self._aggregator.snapshot(time.monotonic(), time.time())

    async def history(self, since: float) -> list[HistoryPoint]:
        return self._aggregator.history(since)
