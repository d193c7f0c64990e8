"""Sums and single values over all reporters, each across all its incarnations: the raw material of a snapshot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property, reduce
from typing import Any, Generic, TypeVar, cast

from helix_ray.metrics.pace import STAGES, Crew
from helix_ray.metrics.reports import AnalyzerReport, ControlReport, ProcessReport, ProducerReport, Report, SinkReport
from helix_ray.metrics.snapshot import (
    ActorView,
    BucketView,
    CommandView,
    ControlView,
    Latency,
    MachineView,
    MetricsSnapshot,
    Money,
    QueueView,
    RunInfo,
    SinkView,
    ThrottleView,
    Totals,
)
from helix_ray.queueing.messages import QueueStats
from helix_ray.records.marks import Kind, kind_of
from helix_ray.scoring.strata import Level
from helix_ray.scoring.tally import Counts, ReadCounts
from helix_ray.throttle.messages import ThrottleStats

R = TypeVar("R", bound=Report)
V = TypeVar("V", bound=Any)
T = TypeVar("T", bound=Any)  # a frozen dataclass whose fields carry marks

_KINDS: tuple[type[Report], ...] = (ProducerReport, QueueStats, ThrottleStats, AnalyzerReport, SinkReport)  # of `STAGES`


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


@dataclass(slots=True)
class Reporter:
    name: str
    reports: Incarnations[Report]
    process: Incarnations[ProcessReport]
    version: int  # of the control state that it follows
    last_seen: float  # monotonic seconds


class Aggregates:
    """The sums of one moment."""

    def __init__(self, reporters: Iterable[Reporter]) -> None:
        self._reporters = sorted(reporters, key=lambda reporter: reporter.name)
        self._queue = self._one(QueueStats)
        self._throttle = self._one(ThrottleStats)
        self._sink = self._one(SinkReport)

    def of(self, kind: type[R]) -> list[Incarnations[R]]:
        """The actors that send this kind of report."""
        return [cast(Incarnations[R], reporter.reports) for reporter in self._sending(kind)]

    def gained(self, kind: type[R], counter: Callable[[R], float]) -> float:
        """What a counter of these actors gained, see `Incarnations.progress`; 0 without any."""
        return sum(it.progress(counter) for it in self.of(kind))

    def totals(self) -> Totals:
        queue, sink, throttle, analyzers = self._queue, self._sink, self._throttle, self._analyzers
        failed, tiers = (analyzers.failed, analyzers.tier) if analyzers else ({}, {})
        return _view(
            Totals,
            analyzers,
            produced=(queue.admitted if queue else 0) or sum(it.total.produced for it in self.of(ProducerReport)),
            stored=sink.committed_reads if sink else 0,
            failures=sum(failed.values()),
            http_429=throttle.http_429 if throttle else 0,
            retries=sink.retries if sink else None,
            suppressed=sink.suppressed if sink else None,
            analyzer_cpu_s=analyzers and sum(reporter.process.total.cpu_s for reporter in self._sending(AnalyzerReport)),
            failures_by_kind=_largest_first(failed),
            reads_by_tier=_largest_first(tiers),
            left_out=_largest_first(analyzers.left_out if analyzers else {}),
        )

    def queue(self, blocked: bool | None) -> QueueView:
        queue, sink = self._queue, self._sink
        finished = queue is not None and (queue.input_closed or 0 < len(self.of(ProducerReport)) <= queue.producers_finished)
        in_sink = sink.buffered + sink.unacked if sink else None
        latest = next((it.latest for it in self.of(QueueStats)), None)  # what an earlier queue held was admitted again
        books = {"admitted": latest.admitted, "acked": latest.acked} if latest else {}
        return _view(QueueView, queue, in_sink=in_sink, blocked=blocked, input_finished=finished, **books)

    def sink(self, holds_back: float | None, intents_share: float | None) -> SinkView:
        return _view(SinkView, self._sink, holds_back=holds_back, intents_share=intents_share)

    def throttle(self) -> ThrottleView:
        buckets = self._throttle.buckets if self._throttle else {}
        return _view(ThrottleView, self._throttle, buckets=tuple(_view(BucketView, it, name=name) for name, it in sorted(buckets.items())))

    def money(self, run: RunInfo, usd_per_hour: float | None = None) -> Money:
        """The throttle's own cap wins: it may have been raised since the run began. It spends nothing before it knows what was spent."""
        throttle, before_usd = self._throttle, run.cost_before_usd
        if throttle is None:
            known = run.known or self._analyzers is not None
            spent_usd = before_usd + (self._analyzers.cost_usd if self._analyzers else 0.0)
            return Money(spent_usd if known else None, max_cost_usd=run.max_cost_usd)
        spent_usd = max(before_usd, float(throttle.spent_usd))
        left_usd = max(0.0, float(throttle.max_cost_usd) - spent_usd)
        cap_in_s = 3600 * left_usd / usd_per_hour if usd_per_hour else None
        return _view(Money, throttle, spent_usd=spent_usd, usd_per_hour=usd_per_hour, cap_in_s=cap_in_s)

    def latency(self) -> Latency:
        analyzers = [it.total for it in self.of(AnalyzerReport)]
        return Latency(
            p50=_highest(it.latency_ms_p50 for it in analyzers),
            p95=_highest(it.latency_ms_p95 for it in analyzers),
            p99=_highest(it.latency_ms_p99 for it in analyzers),
        )

    def scored(self, snapshot: MetricsSnapshot) -> MetricsSnapshot:
        """The snapshot with the scores of the calls; as it is before the first report of an analyzer."""
        if self._analyzers is None:
            return snapshot
        score, ceiling = _by_dimension(self._analyzers.score), _by_dimension(self._analyzers.ceiling)
        return replace(
            snapshot,
            accuracy=score.pop("type", {}),
            all_differences=_by_dimension(self._analyzers.all_differences).get("type", {}),
            ceiling=ceiling.get("type", {}),
            strata=score,
            read_sums=ReadCounts(**self._analyzers.reads),
            off_by=tuple(sorted(self._analyzers.off_by.items())),
        )

    def actors(self, now: float) -> tuple[ActorView, ...]:
        return tuple(
            _view(
                ActorView,
                reporter.process.total,
                name=reporter.name,
                last_seen_s=max(0.0, now - reporter.last_seen),
                restarts=reporter.process.restarts,
                version=reporter.version,
            )
            for reporter in self._reporters
        )

    def crew(self) -> Crew:
        loops: dict[str, list[float]] = {}
        for view in self.actors(0.0):
            loops.setdefault(view.role, []).append(view.loop_busy or 0.0)
        return Crew(
            producers=len(self.of(ProducerReport)),
            analyzers=len(self.of(AnalyzerReport)),
            slots=sum(it.total.requests_in_flight for it in self.of(AnalyzerReport)),
            loop_busy={role: sum(values) / len(values) for role, values in loops.items()},
            heard=frozenset(name for name, kind in zip(STAGES, _KINDS, strict=True) if self.of(kind)),
        )

    def machine(self) -> MachineView:
        """Nodes with one address are taken for one machine each."""
        nodes: dict[str, list[ProcessReport]] = {}
        for reporter in self._reporters:
            nodes.setdefault(reporter.process.latest.node, []).append(reporter.process.total)
        views = []
        for processes in nodes.values():
            cores = max(it.machine_cores for it in processes)
            shares = [it.cpu_share for it in processes if it.cpu_share is not None]
            ours = min(1.0, sum(shares) / cores) if cores and shares else None
            views.append(MachineView(cores=cores, busy=_highest(it.machine_busy for it in processes), ours=ours, nodes=len(nodes)))
        return max(views, key=lambda view: view.busy or 0.0, default=MachineView())

    def control(self) -> ControlView:
        for reporter in self._sending(ControlReport):
            report = cast(ControlReport, reporter.reports.total)
            return _view(ControlView, report, version=reporter.version, adopted=self.adopted(), can_spike=report.spike_refusal is None)
        return ControlView(adopted=self.adopted())

    def commands(self) -> tuple[CommandView, ...]:
        control = self._one(ControlReport)
        return control.commands if control else ()

    def adopted(self) -> int:
        """The newest control version that every producer and analyzer follows; 0 before any of them reported."""
        return min((reporter.version for reporter in self._sending(ProducerReport, AnalyzerReport)), default=0)

    @cached_property
    def _analyzers(self) -> AnalyzerReport | None:
        """One report with the counters of all; its gauges are those of one of them."""
        reports = [it.total for it in self.of(AnalyzerReport)]
        return reduce(added, reports) if reports else None

    def _sending(self, *kinds: type[Any]) -> list[Reporter]:
        return [reporter for reporter in self._reporters if isinstance(reporter.reports.total, kinds)]

    def _one(self, kind: type[R]) -> R | None:
        """Of a kind that one actor sends; None before its first report."""
        return next((it.total for it in self.of(kind)), None)


def _view(view: type[V], report: Any, **own: Any) -> V:
    """A view with the fields of the same name of ``report``, None: with its defaults. What it holds as a float becomes one."""
    values = own if report is None else {it.name: getattr(report, it.name) for it in fields(view) if it.name not in own} | own
    floats = {item.name for item in fields(view) if "float" in item.type and values.get(item.name) is not None}
    made: V = view(**{name: float(value) if name in floats else value for name, value in values.items()})
    return made


def _largest_first(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _by_dimension(scores: Mapping[Level, Counts]) -> dict[str, dict[str, Counts]]:
    found: dict[str, dict[str, Counts]] = {}
    for (dimension, level), counts in sorted(scores.items()):
        found.setdefault(dimension, {})[level] = counts
    return found


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
