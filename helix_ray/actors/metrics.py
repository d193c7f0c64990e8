"""``helix-metrics``: one place that every actor tells its counters and every viewer asks. Losing it never stops the run."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from helix_ray.actors.api import MetricsApi
from helix_ray.metrics.aggregator import Board
from helix_ray.metrics.recent import RecentRead
from helix_ray.metrics.snapshot import HistoryPoint, MetricsSnapshot, RunInfo


class MetricsActor(MetricsApi):
    """Comes back empty: absolute counters refill it within a second, the driver sets the run again."""

    def __init__(self, run: Mapping[str, Any] | None = None) -> None:
        self._incarnation = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._board = Board()
        self._board.set_run(run or {})

    async def ping(self) -> str:
        return self._incarnation

    async def set_run(self, info: Mapping[str, Any] | RunInfo) -> None:
        self._board.set_run(asdict(info) if isinstance(info, RunInfo) else info)

    async def report(self, source: str, counters: Mapping[str, float], version: int, text: Mapping[str, str]) -> int:
        return self._board.report(source, counters, version, text, time.monotonic(), unix_now=time.time())

    async def add_recent(self, reads: list[RecentRead]) -> None:
        self._board.add_recent(reads)

    async def snapshot(self) -> MetricsSnapshot:
        return self._board.snapshot(time.monotonic(), time.time())

    async def history(self, since: float) -> list[HistoryPoint]:
        return self._board.history(since)
