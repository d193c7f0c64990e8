"""From the actors' reports to one snapshot: reporters, rates over sliding windows, the fifteen-minute ring, the recent reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from helix_ray.metrics.aggregates import Aggregates, Reporter
from helix_ray.metrics.bottleneck import find_bottleneck
from helix_ray.metrics.incarnations import Incarnations
from helix_ray.metrics.recent import RecentRead
from helix_ray.metrics.reports import AnalyzerReport, ProcessReport, ProducerReport, Report, SinkReport
from helix_ray.metrics.snapshot import HistoryPoint, MetricsSnapshot, Rates, RunInfo
from helix_ray.metrics.state import state_of
from helix_ray.queueing.messages import QueueStats

HISTORY_SECONDS = 15 * 60
RECENT = 50
CARD_SECONDS = 10.0
POINT_SECONDS = 3.0


class Progress(NamedTuple):
    """Ever-growing sums over all actors; or how much they grow in a second."""

    offered: float
    analysed: float
    stored: float
    blocked_s: float  # producers, in a put
    held_back_s: float  # analyzers, by results that wait for their commit
    intent_wait_s: float  # of requests with a permit: until they are on record
    in_flight_s: float  # of requests with a permit


class RateWindow:
    """Samples of progress, kept a little longer than the longest window asked for."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Progress]] = deque()

    def add(self, now: float, progress: Progress) -> None:
        self._samples.append((now, progress))
        # One sample older than the window stays: the rate over the full window needs its far end.
        while len(self._samples) > 2 and self._samples[1][0] <= now - CARD_SECONDS:
            self._samples.popleft()

    def rates(self, now: float, over_s: float = CARD_SECONDS) -> Progress | None:
        """Per second, from the newest sample at least ``over_s`` old (or the oldest there is) to the newest; None before two samples.

        A window without any sample gives None: an observer without reports does not know that the rate is zero.
        """
        if len(self._samples) < 2 or self._samples[-1][0] < now - over_s:
            return None
        newest_at, newest = self._samples[-1]
        far_enough = (sample for sample in reversed(self._samples) if sample[0] <= newest_at - over_s)
        oldest_at, oldest = next(far_enough, self._samples[0])
        if newest_at <= oldest_at:
            return None
        return Progress(*(max(0.0, (new - old) / (newest_at - oldest_at)) for new, old in zip(newest, oldest, strict=True)))


class MetricsAggregator:
    """``now`` is monotonic seconds, ``unix_now`` wall-clock seconds; both come from the caller.

    A point of history is taken by the first report of each second. In a second without reports there is no point: a gap in
    the chart is true, a line across it would not be.
    """

    def __init__(self, run: RunInfo = RunInfo()) -> None:  # noqa: B008  (frozen)
        self.run = run
        self._reporters: dict[str, Reporter] = {}
        self._window = RateWindow()
        self._history: deque[HistoryPoint] = deque(maxlen=HISTORY_SECONDS)
        self._last_point: float | None = None
        self._in_flight_s = 0.0  # of all requests with a permit, added up
        self._reads: deque[RecentRead] = deque(maxlen=RECENT)
        self._alerts: deque[RecentRead] = deque(maxlen=RECENT)

    def report(self, source: str, report: Report, process: ProcessReport, version: int, now: float, *, unix_now: float) -> int:
        """Takes one actor's report; returns the control version that every producer and analyzer follows."""
        started_at, reporter = process.started_at, self._reporters.get(source)
        if reporter is None:
            reporter = Reporter(source, Incarnations(report, started_at), Incarnations(process, started_at), version, now)
            self._reporters[source] = reporter
        else:
            reporter.reports.report(report, started_at)
            reporter.process.report(process, started_at)
            reporter.version, reporter.last_seen = version, now
        aggregates = Aggregates(self._reporters.values())
        if self._last_point is None or now - self._last_point >= 1.0:
            self._take_point(aggregates, now, unix_now)
        return aggregates.adopted()

    def add_recent(self, reads: Iterable[RecentRead]) -> None:
        """Newest last in ``reads``, newest first in the snapshot."""
        for read in reads:
            self._reads.appendleft(read)
            if read.mutation_detected:
                self._alerts.appendleft(read)

    def history(self, since: float) -> list[HistoryPoint]:
        """Points later than ``since`` (Unix seconds), oldest first."""
        return [point for point in self._history if point.t > since]

    def snapshot(self, now: float, unix_now: float) -> MetricsSnapshot:
        aggregates, rates = Aggregates(self._reporters.values()), self._window.rates(now)
        snapshot = MetricsSnapshot(
            as_of=unix_now,
            run=self.run,
            rates=_shown(rates),
            totals=aggregates.totals(),
            queue=aggregates.queue(self._is_blocked(now)),
            sink=aggregates.sink(_held_back(rates, len(aggregates.of(AnalyzerReport))), _intents_share(rates)),
            throttle=aggregates.throttle(),
            money=aggregates.money(self.run.max_cost_usd),
            latency=aggregates.latency(),
            slots=aggregates.slots(),
            machine=aggregates.machine(),
            actors=aggregates.actors(now),
            recent_reads=tuple(self._reads),
            recent_alerts=tuple(self._alerts),
            control=aggregates.control(),
        )
        state, reason = state_of(snapshot)
        return replace(aggregates.scored(snapshot), state=state, reason=reason, bottleneck=find_bottleneck(snapshot))

    def _take_point(self, aggregates: Aggregates, now: float, unix_now: float) -> None:
        if self._last_point is not None:
            self._in_flight_s += (now - self._last_point) * aggregates.throttle().in_flight
        self._last_point = now
        gained, produced = aggregates.gained, aggregates.gained(ProducerReport, lambda it: it.produced)
        progress = Progress(
            offered=gained(QueueStats, lambda it: it.admitted) if aggregates.of(QueueStats) else produced,
            analysed=gained(AnalyzerReport, lambda it: it.analysed),
            stored=gained(SinkReport, lambda it: it.committed_reads),
            blocked_s=gained(QueueStats, lambda it: it.blocked_seconds),
            held_back_s=gained(AnalyzerReport, lambda it: it.held_back_s),
            intent_wait_s=gained(AnalyzerReport, lambda it: it.intent_wait_s),
            in_flight_s=self._in_flight_s,
        )
        self._window.add(now, progress)
        queue, rates = aggregates.queue(self._is_blocked(now)), _shown(self._window.rates(now, POINT_SECONDS))
        self._history.append(
            HistoryPoint(
                t=unix_now,
                waiting=queue.waiting,
                redelivered=queue.redelivered,
                leased=queue.leased,
                offered=rates.offered,
                analysed=rates.analysed,
                stored=rates.stored,
                http_429=aggregates.totals().http_429,
                spent_usd=aggregates.money(None).spent_usd,
                blocked=queue.blocked,
                paused=aggregates.control().paused,
            )
        )

    def _is_blocked(self, now: float) -> bool:
        """Some producer stood blocked for most of the last seconds."""
        rates = self._window.rates(now, POINT_SECONDS)
        return rates is not None and rates.blocked_s > 0.5


def _shown(rates: Progress | None) -> Rates:
    return Rates() if rates is None else Rates(rates.offered, rates.analysed, rates.stored)


def _held_back(rates: Progress | None, analyzers: int) -> float | None:
    """Seconds that analyzers held back for the sink, of the seconds that they had: 0..1."""
    return None if rates is None or not analyzers else min(1.0, rates.held_back_s / analyzers)


def _intents_share(rates: Progress | None) -> float | None:
    """Both averages are over the same seconds; the sampled one may be the smaller by chance."""
    return None if rates is None or not rates.in_flight_s else min(1.0, rates.intent_wait_s / rates.in_flight_s)
