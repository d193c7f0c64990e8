"""From the actors' reports to one snapshot: reporters, rates over sliding windows, the history, the recent reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from helix_ray.metrics.aggregates import Aggregates, Incarnations, Reporter
from helix_ray.metrics.bottleneck import find_bottleneck, waits_behind
from helix_ray.metrics.history import History
from helix_ray.metrics.pace import MINUTE_SECONDS, POINT_SECONDS, Progress, RateWindow, held_back, intents_share, shown, stages
from helix_ray.metrics.recent import RecentRead
from helix_ray.metrics.reports import AnalyzerReport, ControlReport, ProcessReport, ProducerReport, Report, SinkReport
from helix_ray.metrics.snapshot import FINAL_STATES, HistoryPoint, MetricsSnapshot, RunInfo
from helix_ray.metrics.state import state_of
from helix_ray.queueing.messages import QueueStats
from helix_ray.throttle.messages import ThrottleStats

RECENT = 50
GAP_S = 2.5  # without a report of anybody


class MetricsAggregator:
    """``now`` is monotonic seconds, ``unix_now`` wall-clock seconds; both come from the caller.

    A point of history is taken by the first report of each second. In a second without reports there is no point: a gap in
    the chart is true, a line across it would not be. After a gap the windows begin anew, once all have reported that did before:
    what was done meanwhile comes in with the reports of a second, and would look like a peak of it.
    """

    def __init__(self, run: RunInfo = RunInfo()) -> None:  # noqa: B008  (frozen)
        self.run = run
        self._reporters: dict[str, Reporter] = {}
        self._window = RateWindow()
        self._history = History()
        self._last_point: float | None = None
        self._last_report: float | None = None
        self._gap_ended: float | None = None  # and not all have reported since
        self._sampled = Progress()  # what is added up here, by samples
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
        if self._is_whole(now) and (self._last_point is None or now - self._last_point >= 1.0):
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
        return self._history.since(since)

    def snapshot(self, now: float, unix_now: float) -> MetricsSnapshot:
        aggregates, rates, minute = Aggregates(self._reporters.values()), self._window.rates(now), self._window.rates(now, MINUTE_SECONDS)
        crew = aggregates.crew()
        snapshot = MetricsSnapshot(
            as_of=unix_now,
            run=self.run,
            rates=shown(rates),
            totals=aggregates.totals(),
            queue=aggregates.queue(self._is_blocked(now)),
            sink=aggregates.sink(held_back(rates, crew.analyzers), intents_share(rates)),
            throttle=aggregates.throttle(),
            money=aggregates.money(self.run, None if minute is None else 3600 * minute.cost_usd),
            latency=aggregates.latency(),
            slots=crew.slots,
            machine=aggregates.machine(),
            actors=aggregates.actors(now),
            recent_reads=tuple(self._reads),
            recent_alerts=tuple(self._alerts),
            control=aggregates.control(),
            commands=aggregates.commands(),
            stages=stages(rates, crew),
        )
        state, reason = state_of(snapshot)
        snapshot = replace(aggregates.scored(snapshot), state=state, reason=reason, bottleneck=find_bottleneck(snapshot))
        until = self._history.last.t if self._history.last is not None and state in FINAL_STATES else unix_now
        elapsed_s = None if self.run.started_at is None else max(0.0, until - self.run.started_at)
        done, wanted = snapshot.totals.stored + self.run.rows_before, self.run.reads_requested or snapshot.queue.total_reads
        if wanted is None or not aggregates.of(SinkReport):
            return replace(snapshot, elapsed_s=elapsed_s)
        going = minute is not None and minute.stored > 0 and state not in FINAL_STATES
        eta_s = (wanted - done) / minute.stored if minute is not None and going else None
        return replace(snapshot, elapsed_s=elapsed_s, progress=min(1.0, done / wanted) if wanted else None, eta_s=eta_s)

    def _is_whole(self, now: float) -> bool:
        """All that reported before the last gap have done so since; or they have had the time to."""
        if self._last_report is not None and now - self._last_report > GAP_S:
            self._gap_ended = now
            self._window = RateWindow()
        self._last_report = now
        ended = self._gap_ended
        if ended is not None and (now - ended > GAP_S or all(it.last_seen >= ended for it in self._reporters.values())):
            self._gap_ended = self._last_point = None
        return self._gap_ended is None

    def _take_point(self, aggregates: Aggregates, now: float, unix_now: float) -> None:
        queue, throttle = aggregates.queue(None), aggregates.throttle()
        waits = waits_behind(queue, throttle, aggregates.money(self.run), aggregates.crew().slots)
        last_s, before = 0.0 if self._last_point is None else now - self._last_point, self._sampled
        self._sampled = before._replace(
            in_flight_s=before.in_flight_s + last_s * throttle.in_flight,
            full_s=before.full_s + last_s * queue.is_filled,
            throttled_s=before.throttled_s + last_s * (waits is False),
            awaiting_s=before.awaiting_s + last_s * (waits is True),
        )
        self._last_point = now
        gained, produced = aggregates.gained, aggregates.gained(ProducerReport, lambda it: it.produced)
        progress = self._sampled._replace(
            offered=gained(QueueStats, lambda it: it.admitted) if aggregates.of(QueueStats) else produced,
            analysed=gained(AnalyzerReport, lambda it: it.analysed),
            stored=gained(SinkReport, lambda it: it.committed_reads),
            cost_usd=gained(AnalyzerReport, lambda it: it.cost_usd),
            generate_s=gained(ProducerReport, lambda it: it.generate_s),
            put_s=gained(ProducerReport, lambda it: it.blocked_seconds),
            blocked_s=gained(QueueStats, lambda it: it.blocked_seconds),
            held_back_s=gained(AnalyzerReport, lambda it: it.held_back_s),
            intent_wait_s=gained(AnalyzerReport, lambda it: it.intent_wait_s),
            commit_s=gained(SinkReport, lambda it: it.commit_s),
        )
        self._window.add(now, progress)
        queue, rates = aggregates.queue(self._is_blocked(now)), shown(self._window.rates(now, POINT_SECONDS))
        asked, controlled = aggregates.of(ThrottleStats), aggregates.of(ControlReport)
        self._history.add(
            HistoryPoint(
                t=unix_now,
                waiting=queue.waiting,
                redelivered=queue.redelivered,
                leased=queue.leased,
                offered=rates.offered,
                analysed=rates.analysed,
                stored=rates.stored,
                http_429=aggregates.totals().http_429 if asked else None,
                spent_usd=aggregates.money(self.run).spent_usd,
                blocked=queue.blocked,
                paused=aggregates.control().paused if controlled else None,
                latency_ms_p95=aggregates.latency().p95,
                in_flight=throttle.in_flight if asked else None,
            )
        )

    def _is_blocked(self, now: float) -> bool | None:
        """Some producer stood blocked for most of the last seconds."""
        rates = self._window.rates(now, POINT_SECONDS)
        return None if rates is None else rates.blocked_s > 0.5
