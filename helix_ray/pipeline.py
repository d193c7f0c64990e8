"""THE file to read: how a run is put together, started, watched, drained and stopped.

    source ──► ProducerActor × P ──put──► QueueActor ──lease──► AnalyzerActor × N ──write──► SinkActor ──COPY──► PostgreSQL
                    ▲  blocked above 500      ▲                  │      ▲                       │
                    │                         └──────ack, after commit──┼───────────────────────┘
                    │                                            │   permits
                    │                                            ▼      │
                    │                                        ThrottleActor: rate, tokens, dollars
    every actor ──counters, once a second──► MetricsActor ──► page, terminal
    page, terminal ──commands──► ControlActor ──desired state, read once a second──► every actor

The driver below moves no read. It makes the actors, watches them, and asks them to end in an order that leaves nothing behind.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from helix_ray.actors import names
from helix_ray.actors.cluster import Cluster, local_cluster
from helix_ray.actors.crew import Crew, Failure
from helix_ray.clock import SystemClock
from helix_ray.config import Backend
from helix_ray.emulator.process import EmulatorProcess
from helix_ray.footprint import Footprint
from helix_ray.home import RunFile
from helix_ray.metrics.snapshot import MetricsSnapshot
from helix_ray.preparation import Plan, with_ledger
from helix_ray.queueing.history import QueueHistory
from helix_ray.queueing.messages import QueueStats
from helix_ray.records import JsonObject, RunStatus
from helix_ray.reporting import Books, SessionEnd, read_books, write_report
from helix_ray.signals import Signals
from helix_ray.supervision.breaker import RestartBreaker
from helix_ray.supervision.endings import Ending, Facts, decide
from helix_ray.supervision.liveness import Liveness
from helix_ray.throttle.messages import ThrottleStats

TICK_S = 0.5
HURRY_S = 1.5
"""What each step of the end may take once the user has asked twice."""


@dataclass(frozen=True, slots=True)
class Outcome:
    ending: Ending
    report: JsonObject

    @property
    def exit_code(self) -> int:
        return self.ending.exit_code(int(self.report["dead_letters"] or 0))


@dataclass(slots=True)
class Listener:
    """What the terminal wants to hear. Both are called from the driver's loop."""

    started: Callable[[Cluster], None] = lambda _: None
    progress: Callable[[MetricsSnapshot], None] = lambda _: None
    ending: Callable[[Ending], None] = lambda _: None
    ended: Callable[[Outcome], None] = lambda _: None


@dataclass(slots=True)
class _Watch:
    """What the driver remembers between two looks."""

    started_at: float
    liveness: Liveness = field(default_factory=Liveness)
    breaker: RestartBreaker = field(default_factory=RestartBreaker)
    pings: dict[str, Any] = field(default_factory=dict)
    epoch: str | None = None
    rows_at_open: int = 0  # reads that the newest queue was told are done
    queue: QueueHistory = field(default_factory=QueueHistory)
    source_error: str | None = None
    snapshot: MetricsSnapshot | None = None
    bottlenecks: Counter[str] = field(default_factory=Counter)  # looks at which each was the bottleneck


class Pipeline:
    """One session of one run, from the first actor to the report."""

    def __init__(self, plan: Plan, listener: Listener | None = None, hold: bool = False) -> None:
        self._plan = plan
        self._listener = listener or Listener()
        self._hold = hold
        self._footprint = Footprint()

    def run(self) -> Outcome:
        """Runs to an ending. Raises what kept it from starting; after that every ending is an `Outcome`."""
        plan = self._plan
        with ExitStack() as stack:
            cluster = stack.enter_context(local_cluster(plan.home, plan.config.ray))
            signals = stack.enter_context(Signals())  # after ray.init, which installs handlers of its own
            base_url = self._base_url(stack)
            crew = Crew(plan.config, plan.run_id, plan.database_url, plan.api_key, base_url)
            watch = self._start(crew, cluster)
            self._run_file(cluster, base_url).write(plan.home)
            stack.callback(RunFile.remove, plan.home)
            self._listener.started(cluster)
            ending = self._watch(crew, watch, signals)
            self._listener.ending(ending)
            self._drain(crew, watch, ending, signals)
            outcome = self._conclude(crew, watch, ending)
            crew.ask(names.METRICS, "set_run", {"status": outcome.ending.status.value, "reason": outcome.ending.reason}, timeout_s=HURRY_S)
            self._listener.ended(outcome)
            if self._hold and signals.count < 2:
                crew.dismiss(keep=(names.METRICS,))
                signals.wait_for_one_more()
            crew.dismiss()
        return outcome

    # ── start ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _base_url(self, stack: ExitStack) -> str | None:
        config = self._plan.config
        if config.analyzer.backend is not Backend.EMULATOR:
            return config.analyzer.base_url
        emulator = EmulatorProcess.start(config.emulator, config.analyzer.model)
        stack.callback(emulator.stop)
        return emulator.url

    def _start(self, crew: Crew, cluster: Cluster) -> _Watch:
        """Services first, then those who use them; producers last, when everything behind them is there."""
        plan = self._plan
        record = (lambda ledger: ledger.resume_run(plan.run_id)) if plan.resumed else (lambda ledger: ledger.start_run(plan.row))
        with_ledger(plan.database_url, record)
        crew.create([names.METRICS, names.CONTROL, names.QUEUE, names.THROTTLE, names.SINK])
        _must(crew.ask(names.METRICS, "set_run", self._run_info(cluster)))
        _must(crew.ask(names.THROTTLE, "restore", plan.spent_before))
        watch = _Watch(started_at=time.monotonic())
        _must(self._open_queue(crew, watch))
        crew.create(crew.analyzers)
        crew.create(crew.producers)
        crew.start_loops(crew.analyzers)
        crew.start_loops(crew.producers)
        for name in [*crew.services, *crew.analyzers, *crew.producers]:
            watch.liveness.watch(name, time.monotonic())
        return watch

    def _open_queue(self, crew: Crew, watch: _Watch) -> Any:
        """Tells a new queue what is done; only then does it take reads."""
        done = with_ledger(self._plan.database_url, lambda ledger: ledger.done_ranges(self._plan.run_id))
        epoch = crew.ask(names.QUEUE, "open", done, len(crew.producers))
        if not isinstance(epoch, Failure):
            watch.epoch, watch.rows_at_open = epoch, sum(stop - start for start, stop in done)
        return epoch

    def _run_file(self, cluster: Cluster, base_url: str | None) -> RunFile:
        plan, emulator_url = self._plan, base_url if self._plan.simulated else None
        return RunFile.for_this_process(
            plan.run_id, cluster.address, names.NAMESPACE, cluster.dashboard_url, cluster.token_path, emulator_url=emulator_url
        )

    def _run_info(self, cluster: Cluster) -> JsonObject:
        config = self._plan.config
        return {
            "run_id": self._plan.run_id,
            "name": config.run.name,
            "backend": config.analyzer.backend.value,
            "simulated": self._plan.simulated,
            "model": config.analyzer.model,
            "latency_scale": config.emulator.latency_scale if self._plan.simulated else 1.0,
            "requested": config.source.count,
            "rows_before": self._plan.rows_before,
            "max_cost_usd": config.throttle.max_cost_usd,
            "started_at": SystemClock().now().isoformat(),
            "dashboard_url": cluster.dashboard_url,
        }

    # ── watch ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self, crew: Crew, watch: _Watch, signals: Signals) -> Ending:
        while True:
            facts = self._look(crew, watch, signals)
            ending = decide(facts)
            if ending is not None:
                return ending
            if watch.snapshot is not None:
                watch.bottlenecks.update({watch.snapshot.bottleneck.name} - {"none"})
                self._listener.progress(watch.snapshot)
            self._footprint.sample(time.monotonic())
            signals.wait(TICK_S)

    def _look(self, crew: Crew, watch: _Watch, signals: Signals) -> Facts:
        """One round of questions; a part that does not answer leaves its last known facts in place."""
        now = time.monotonic()
        calls = {names.QUEUE: "stats", names.THROTTLE: "stats", names.SINK: "stats", names.CONTROL: "state", names.METRICS: "snapshot"}
        answers = {name: value for name, value in crew.ask_all(calls, timeout_s=2.0).items() if not isinstance(value, Failure)}
        throttle, sink = answers.get(names.THROTTLE), answers.get(names.SINK)
        queue: QueueStats | None = answers.get(names.QUEUE)
        desired = answers.get(names.CONTROL)
        watch.snapshot = answers.get(names.METRICS, watch.snapshot)
        if queue is not None:
            self._note_queue(crew, watch, queue)
        if sink is not None:
            watch.breaker.progress(sink.committed_reads)
        self._keep_alive(crew, watch, now)
        self._note_producers(crew, watch)
        return Facts(
            elapsed_s=now - watch.started_at,
            max_duration_s=self._plan.config.run.max_duration_s,
            signals=signals.count,
            asked_to=desired.ending if desired else None,
            all_stored=queue is not None and _is_through(queue, len(crew.producers)),
            budget_exhausted=_budget_message(throttle) if throttle and throttle.budget_exhausted else None,
            refused=throttle.refused if throttle else None,
            source_error=watch.source_error,
            sink_error=sink.fatal_error if sink else None,
            storm="actors keep dying and nothing is stored; see the logs of Ray" if watch.breaker.is_open else None,
        )

    def _note_queue(self, crew: Crew, watch: _Watch, queue: QueueStats) -> None:
        if queue.epoch != watch.epoch:  # a new queue knows nothing until it is told what is done
            self._open_queue(crew, watch)
            crew.start_loops(crew.producers)  # whoever had offered everything offers again what has no row
        watch.queue.note(queue)

    def _keep_alive(self, crew: Crew, watch: _Watch, now: float) -> None:
        """Pings those who are due, and restarts those who hang. Who died is restarted by Ray."""
        for name in watch.liveness.due(now):
            watch.pings[name] = crew.send(name, "ping")
        for name, answer in crew.collect(watch.pings, timeout_s=0.0).items():
            if isinstance(answer, Failure) and answer.kind == "timeout":
                continue
            del watch.pings[name]
            if isinstance(answer, Failure):
                watch.liveness.failed(name, now)
            elif watch.liveness.answered(name, str(answer), now):
                watch.breaker.restarted(now)
                if name == names.THROTTLE:
                    crew.ask(name, "restore", with_ledger(self._plan.database_url, lambda ledger: ledger.spent_usd(self._plan.run_id)))
                if name == names.METRICS and watch.snapshot is not None:
                    crew.ask(name, "set_run", watch.snapshot.run)
        for name in watch.liveness.overdue(now):
            watch.pings.pop(name, None)
        for name in watch.liveness.hung():
            crew.restart(name)

    @staticmethod
    def _note_producers(crew: Crew, watch: _Watch) -> None:
        for name, result in crew.ended_loops().items():
            if isinstance(result, Failure) and result.kind == "raised":
                watch.source_error = f"{name}: {result.error}"

    # ── drain and stop ───────────────────────────────────────────────────────────────────────────────────────────────

    def _drain(self, crew: Crew, watch: _Watch, ending: Ending, signals: Signals) -> None:
        """Input first, then the requests in flight, then what they brought: each step leaves nothing for the one before."""
        patience = HURRY_S if ending.hurry else self._plan.config.run.drain_timeout_s
        self._patiently(crew, {names.QUEUE: ("close_input",)}, 5.0, signals)
        self._patiently(crew, {names.QUEUE: ("close_leases",)}, 5.0, signals)
        self._patiently(crew, dict.fromkeys(crew.analyzers, ("drain", patience)), patience + 10.0, signals)
        self._patiently(crew, {names.SINK: ("flush",)}, self._plan.config.sink.statement_timeout_s + 5.0, signals)
        last = crew.ask(names.QUEUE, "stats", timeout_s=HURRY_S)
        if not isinstance(last, Failure) and last.epoch == watch.epoch:
            watch.queue.note(last)

    @staticmethod
    def _patiently(crew: Crew, calls: dict[str, tuple[Any, ...]], timeout_s: float, signals: Signals) -> None:
        """Waits for these calls, but not much longer once a second signal says: now."""
        references = {name: crew.send(name, *call) for name, call in calls.items()}
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            answers = crew.collect(references, timeout_s=0.3)
            if not any(isinstance(answer, Failure) and answer.kind == "timeout" for answer in answers.values()):
                return
            if signals.count > 1:
                deadline = min(deadline, time.monotonic() + HURRY_S)

    def _conclude(self, crew: Crew, watch: _Watch, ending: Ending) -> Outcome:
        self._footprint.sample(float("inf"))
        throttle = crew.ask(names.THROTTLE, "stats", timeout_s=HURRY_S)
        sink = crew.ask(names.SINK, "stats", timeout_s=HURRY_S)
        books = read_books(self._plan)
        if not isinstance(books, Books):
            ending = Ending(RunStatus.FAILED, f"{ending.reason}; then the database could not be asked: {books}")
        end = SessionEnd(
            ending=ending,
            duration_s=time.monotonic() - watch.started_at,
            peak_pss_mb=self._footprint.peak_mb,
            queue=watch.queue.stats,
            rows_at_open=watch.rows_at_open,
            throttle=None if isinstance(throttle, Failure) else throttle,
            sink=None if isinstance(sink, Failure) else sink,
            bottleneck=watch.bottlenecks.most_common(1)[0][0] if watch.bottlenecks else None,
        )
        return Outcome(ending, write_report(self._plan, end, books if isinstance(books, Books) else None))


def _is_through(queue: QueueStats, producers: int) -> bool:
    """Every producer has offered all it has, and what was offered is committed: only that takes a read off the queue."""
    return queue.producers_finished == producers and queue.waiting + queue.redelivered + queue.leased == 0


def _budget_message(throttle: ThrottleStats) -> str:
    return (
        f"budget: ${throttle.spent_usd:.6f} of throttle.max_cost_usd ${throttle.max_cost_usd:.2f} is spent, "
        "and the worst case of one more request would pass it"
    )


def _must(answer: Any) -> Any:
    if isinstance(answer, Failure):
        raise answer.error
    return answer
