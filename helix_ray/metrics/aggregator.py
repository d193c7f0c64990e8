"""Everything the metrics actor knows: reporters, windows, the fifteen-minute ring, the recent reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import datetime
from itertools import islice
from typing import Any

from helix_ray.metrics.aggregates import CrewView
from helix_ray.metrics.bottleneck import find_bottleneck
from helix_ray.metrics.incarnations import Reporter
from helix_ray.metrics.recent import RecentRead
from helix_ray.metrics.snapshot import HistoryPoint, MetricsSnapshot, Rates, RunInfo
from helix_ray.metrics.state import Parts, state_of
from helix_ray.metrics.window import POINT_SECONDS, RateWindow

HISTORY_SECONDS = 15 * 60
RECENT = 50
_ALIASES = {"requested": "reads_requested"}
_RUN_KEYS = {field.name for field in fields(RunInfo)}


class Board:
    """``now`` is monotonic seconds, ``unix_now`` wall-clock seconds; both come from the caller.

    A point of history is taken by the first report of each second. In a second without reports there is no point: a gap in
    the chart is true, a line across it would not be.
    """

    def __init__(self) -> None:
        self._run = RunInfo()
        self._reporters: dict[str, Reporter] = {}
        self._crew = CrewView(self._reporters)
        self._window = RateWindow()
        self._history: deque[HistoryPoint] = deque(maxlen=HISTORY_SECONDS)
        self._last_point: float | None = None
        self._in_flight_s = 0.0  # of all requests with a permit, added up
        self._reads: deque[RecentRead] = deque(maxlen=RECENT)
        self._alerts: deque[RecentRead] = deque(maxlen=RECENT)

    def set_run(self, info: Mapping[str, Any]) -> None:
        """Merges what is known about the run; keys are the fields of `RunInfo`, others are left out.

        ``started_at`` may be ISO text, and ``requested`` stands for ``reads_requested``.
        """
        known = {_ALIASES.get(key, key): value for key, value in info.items()}
        if isinstance(known.get("started_at"), str):
            known["started_at"] = datetime.fromisoformat(known["started_at"]).timestamp()
        self._run = replace(self._run, **{key: value for key, value in known.items() if key in _RUN_KEYS})

    def report(
        self, source: str, counters: Mapping[str, float], version: int, text: Mapping[str, str], now: float, *, unix_now: float
    ) -> int:
        """Takes one actor's absolute counters; answers the control version that every producer and analyzer follows."""
        self._reporters.setdefault(source, Reporter(source)).report(counters, version, text, now)
        if self._last_point is None or now - self._last_point >= 1.0:
            self._take_point(now, unix_now)
        return self._crew.adopted()

    def add_recent(self, reads: Iterable[RecentRead]) -> None:
        """Newest last in ``reads``, newest first in the snapshot."""
        for read in reads:
            self._reads.appendleft(read)
            if read.mutation_detected:
                self._alerts.appendleft(read)

    def history(self, since: float) -> list[HistoryPoint]:
        """Points later than ``since`` (Unix seconds), oldest first."""
        newer: list[HistoryPoint] = []
        for point in reversed(self._history):
            if point.t <= since:
                break
            newer.append(point)
        return newer[::-1]

    def snapshot(self, now: float, unix_now: float) -> MetricsSnapshot:
        crew = self._crew
        actors = crew.actors(now)
        queue = crew.queue(self._is_blocked(now))
        throttle, control = crew.throttle(), crew.control()
        scores = crew.counts("score")
        sink = crew.sink(self._held_back(now), self._intents_share(now))
        state, reason = state_of(self._run, Parts(actors, queue, sink, throttle, control), unix_now)
        snapshot = MetricsSnapshot(
            as_of=unix_now,
            run=self._run,
            state=state,
            reason=reason,
            rates=Rates(*(self._window.rate(name, now) for name in ("offered", "analysed", "stored"))),
            totals=crew.totals(),
            queue=queue,
            sink=sink,
            throttle=throttle,
            money=crew.money(self._run.max_cost_usd),
            latency=crew.latency(),
            slots=crew.slots(),
            machine=crew.machine(),
            accuracy=scores.pop("type", {}),
            ceiling=crew.counts("ceiling").get("type", {}),
            strata=scores,
            read_sums=crew.read_sums(),
            off_by=crew.off_by(),
            actors=actors,
            recent_reads=tuple(islice(self._reads, RECENT)),
            recent_alerts=tuple(islice(self._alerts, RECENT)),
            control=control,
        )
        return replace(snapshot, bottleneck=find_bottleneck(snapshot))

    def _take_point(self, now: float, unix_now: float) -> None:
        crew = self._crew
        if self._last_point is not None:
            self._in_flight_s += (now - self._last_point) * crew.throttle().in_flight
        self._last_point = now
        offered = ("queue", "admitted") if crew.role("queue") else ("producer", "produced")
        self._window.add(
            now,
            {
                "offered": crew.progress(*offered),
                "analysed": crew.progress("analyzer", "analysed"),
                "stored": crew.progress("sink", "committed_reads"),
                "blocked": crew.progress("queue", "blocked_seconds"),
                "held_back": crew.progress("analyzer", "held_back_s"),
                "intent_wait": crew.progress("analyzer", "intent_wait_s"),
                "in_flight": self._in_flight_s,
            },
        )
        blocked = self._is_blocked(now)
        queue = crew.queue(blocked)
        offered_rate, analysed, stored = (self._window.rate(name, now, POINT_SECONDS) for name in ("offered", "analysed", "stored"))
        self._history.append(
            HistoryPoint(
                t=unix_now,
                waiting=queue.waiting,
                redelivered=queue.redelivered,
                leased=queue.leased,
                offered=offered_rate,
                analysed=analysed,
                stored=stored,
                http_429=crew.totals().http_429,
                spent_usd=crew.money(None).spent_usd,
                blocked=blocked,
                paused=crew.control().paused,
            )
        )

    def _held_back(self, now: float) -> float | None:
        """Seconds that analyzers held back for the sink, of the seconds that they had: 0..1."""
        held_back, analyzers = self._window.rate("held_back", now), len(self._crew.role("analyzer"))
        return None if held_back is None or not analyzers else min(1.0, held_back / analyzers)

    def _intents_share(self, now: float) -> float | None:
        """Both averages are over the same seconds; the sampled one may be the smaller by chance."""
        waited, in_flight = self._window.rate("intent_wait", now), self._window.rate("in_flight", now)
        return None if waited is None or not in_flight else min(1.0, waited / in_flight)

    def _is_blocked(self, now: float) -> bool:
        """Some producer stood blocked for most of the last seconds."""
        return (self._window.rate("blocked", now, POINT_SECONDS) or 0.0) > 0.5
