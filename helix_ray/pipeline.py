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
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from helix_ray.actors import api
from helix_ray.actors.api import CONTROL, METRICS, QUEUE, SINK, THROTTLE, ActorApi, Address, QueueApi
from helix_ray.actors.cluster import Cluster, local_cluster
from helix_ray.actors.group import ActorGroup, CallFailure, FailureKind, Pending, wait_for
from helix_ray.clock import SystemClock
from helix_ray.config import Backend
from helix_ray.emulator.process import EmulatorProcess
from helix_ray.errors import DatabaseLostError, DatabaseUnavailableError
from helix_ray.home import RunFile
from helix_ray.metrics.snapshot import MetricsSnapshot
from helix_ray.queueing.history import QueueHistory
from helix_ray.queueing.messages import QueueStats
from helix_ray.records import DesiredState, JsonObject, RunStatus
from helix_ray.session.memory import Footprint
from helix_ray.session.preparation import Plan, with_ledger
from helix_ray.session.reporting import Books, SessionEnd, missing_rows, read_books, write_report
from helix_ray.session.signals import Signals
from helix_ray.session.throttle_recovery import Restoring
from helix_ray.supervision.breaker import RestartBreaker
from helix_ray.supervision.endings import Ending, Facts, decide
from helix_ray.supervision.liveness import Liveness
from helix_ray.throttle.stats import ThrottleStats

TICK_S = 0.5
HURRY_S = 0.8
"""What each step of the end may take once the user has asked twice: together with Ray's own end that is below 5 s."""

BOOKS_TIMEOUT_S = 600.0
"""Counting the rows of a long run takes a while; it is done once."""

SILENCE_S = 60.0
"""An actor that does not come back within this time never will."""

DATABASE_AWAY = (DatabaseLostError, DatabaseUnavailableError)


@dataclass(frozen=True, slots=True)
class Outcome:
    ending: Ending
    report: JsonObject

    @property
    def exit_code(self) -> int:
        return self.ending.exit_code(int(self.report["dead_letters"] or 0))


@dataclass(slots=True)
class Listener:
    """What the terminal wants to hear. All are called from the driver's loop."""

    started: Callable[[Cluster], None] = lambda _: None
    progress: Callable[[MetricsSnapshot], None] = lambda _: None
    ending: Callable[[Ending], None] = lambda _: None
    ended: Callable[[Outcome], None] = lambda _: None
    held: Callable[[], None] = lambda: None


@dataclass(slots=True)
class _Watch:
    """What the driver remembers between two looks."""

    run_info: JsonObject
    started_at: float = field(default_factory=time.monotonic)  # when reads began to flow
    liveness: Liveness = field(default_factory=Liveness)
    breaker: RestartBreaker = field(default_factory=RestartBreaker)
    pings: dict[str, Pending[str]] = field(default_factory=dict)
    epoch: str | None = None  # of the queue that was told what is done
    rows_at_open: int = 0  # reads that this queue was told are done
    queue_informed: bool = True  # the queue knows what every sink so far has committed
    throttle_restored: bool = False  # the throttle was told what is spent, so it grants
    queue: QueueHistory = field(default_factory=QueueHistory)
    desired: DesiredState = field(default_factory=DesiredState)
    loop_error: str | None = None
    analyzers_ended: frozenset[str] = frozenset()  # why, once none is left
    snapshot: MetricsSnapshot | None = None
    bottlenecks: Counter[str] = field(default_factory=Counter)  # looks at which each was the bottleneck


class Pipeline:
    """One session of one run, from the first actor to the report."""

    def __init__(self, plan: Plan, listener: Listener | None = None, hold: bool = False) -> None:
        self._plan = plan
        self._listener = listener or Listener()
        self._hold = hold
        self._emulator: EmulatorProcess | None = None
        self._restoring = Restoring(plan)
        self._footprint = Footprint(plan.home / "postgres" / "postmaster.pid")

    def run(self) -> Outcome:
        """Runs to an ending. Raises what kept it from starting; once the run has its row, every ending is an `Outcome`."""
        plan = self._plan
        with ExitStack() as stack:
            signals = stack.enter_context(Signals())
            cluster = stack.enter_context(local_cluster(plan.home, plan.config.ray))
            signals.install()  # once more: ray.init has handlers of its own
            base_url = self._base_url(stack)
            group = ActorGroup(plan.config, plan.run_id, plan.database_url, plan.api_key, base_url, plan.tariff)
            watch = _Watch(self._run_info(cluster))
            self._create(group, watch)
            signals.arm()
            self._record_start()
            self._run_file(cluster, base_url).write(plan.home)
            stack.callback(RunFile.remove, plan.home)
            ending = self._go(group, cluster, watch, signals)
            self._listener.ending(ending)
            outcome = self._end(group, watch, ending, signals)
            self._listener.ended(outcome)
            signals.leave_in_time(outcome.exit_code)
            if self._hold and not signals.hurry:
                self._listener.held()
                signals.wait_for_one_more()
        return outcome

    # ── start ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _base_url(self, stack: ExitStack) -> str | None:
        config = self._plan.config
        if config.analyzer.backend is not Backend.EMULATOR:
            return config.analyzer.base_url
        self._emulator = EmulatorProcess.start(config.emulator, config.analyzer.model)
        stack.callback(self._emulator.stop)
        return self._emulator.url

    @staticmethod
    def _create(group: ActorGroup, watch: _Watch) -> None:
        """Every actor answers; nothing flows, since the queue is not opened and the throttle grants nothing yet."""
        for actors in (group.services, group.analyzers, group.producers):
            for name, incarnation in group.create(actors).items():
                watch.liveness.watch(name, time.monotonic())
                watch.liveness.answered(name, incarnation, time.monotonic())

    def _record_start(self) -> None:
        plan = self._plan
        with_ledger(
            plan.database_url, lambda ledger: ledger.resume_run(plan.run_id, plan.row) if plan.resumed else ledger.start_run(plan.row)
        )

    def _go(self, group: ActorGroup, cluster: Cluster, watch: _Watch, signals: Signals) -> Ending:
        """Lets reads flow, consumers first, and watches until there is a reason to end. A defect of ours is a reason, too."""
        try:
            watch.started_at = time.monotonic()
            group.ask(METRICS, api.MetricsApi.set_run, watch.run_info)
            group.start_loops([CONTROL, SINK])  # the sink claims the run: no other process may write it
            watch.throttle_restored = self._restoring.begin(group)
            self._open_queue(group, watch)
            group.start_loops(group.analyzers)
            group.start_loops(group.producers)
            self._listener.started(cluster)
            return self._watch(group, watch, signals)
        except (Exception, SystemExit) as error:  # noqa: BLE001  (becomes the ending; SystemExit: rich, when its pipe is gone)
            traceback.print_exc()
            return Ending(RunStatus.FAILED, f"{type(error).__name__}: {error}")

    def _open_queue(self, group: ActorGroup, watch: _Watch) -> None:
        """Tells a new queue what is done; only then does it take reads."""
        done = self._done_ranges()
        epoch = group.ask(QUEUE, QueueApi.open, done, len(group.producers))
        if not isinstance(epoch, CallFailure):
            watch.epoch, watch.rows_at_open = epoch, sum(stop - start for start, stop in done)

    def _done_ranges(self) -> list[tuple[int, int]]:
        return with_ledger(self._plan.database_url, lambda ledger: ledger.done_ranges(self._plan.run_id))

    def _run_file(self, cluster: Cluster, base_url: str | None) -> RunFile:
        plan, own_emulator = self._plan, self._plan.config.analyzer.backend is Backend.EMULATOR
        return RunFile.for_this_process(
            plan.run_id,
            cluster.address,
            api.NAMESPACE,
            cluster.dashboard_url,
            cluster.token_path,
            emulator_url=base_url if own_emulator else None,
            database=plan.config.sink.database,
        )

    def _run_info(self, cluster: Cluster) -> JsonObject:
        config = self._plan.config
        return {
            "run_id": self._plan.run_id,
            "name": config.run.name,
            "backend": config.analyzer.backend.value,
            "simulated": self._plan.simulated,
            "model": config.analyzer.model,
            "latency_scale": config.emulator.latency_scale if config.analyzer.backend is Backend.EMULATOR else 1.0,
            "requested": config.source.count,
            "rows_before": self._plan.rows_before,
            "max_cost_usd": config.throttle.max_cost_usd,
            "started_at": SystemClock().now().isoformat(),
            "dashboard_url": cluster.dashboard_url,
        }

    # ── watch ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self, group: ActorGroup, watch: _Watch, signals: Signals) -> Ending:
        while True:
            ending = decide(self._look(group, watch, signals))
            if ending is not None:
                return ending
            if watch.snapshot is not None:
                watch.bottlenecks[watch.snapshot.bottleneck.name] += 1
                self._listener.progress(watch.snapshot)
            self._footprint.sample(time.monotonic())
            signals.wait(TICK_S)

    def _look(self, group: ActorGroup, watch: _Watch, signals: Signals) -> Facts:
        """One round of questions; a part that does not answer leaves its last known facts in place."""
        now = time.monotonic()
        parts = group.send(QUEUE, QueueApi.stats), group.send(THROTTLE, api.ThrottleApi.stats), group.send(SINK, api.SinkApi.stats)
        state, snapshot = group.send(CONTROL, api.ControlApi.state), group.send(METRICS, api.MetricsApi.snapshot)
        wait_for([*parts, state, snapshot], timeout_s=2.0)
        queue, throttle, sink = parts[0].value(), parts[1].value(), parts[2].value()
        watch.desired = state.value() or watch.desired
        if queue is not None:
            watch.queue.note(queue)
        if sink is not None:
            watch.breaker.progress(sink.committed_reads)
        self._note_snapshot(group, watch, snapshot.value())
        self._keep_alive(group, watch, now)
        self._refill(group, watch, queue)
        self._note_loops(group, watch)
        return Facts(
            elapsed_s=now - watch.started_at,
            max_duration_s=self._plan.config.run.max_duration_s,
            signals=signals.count,
            asked_to=watch.desired.ending,
            all_stored=queue is not None and _is_through(queue, len(group.producers)),
            budget_exhausted=_budget_message(throttle) if throttle and throttle.budget_exhausted else None,
            refused=throttle.refused if throttle else None,
            daily_stop=throttle.daily_stop if throttle else None,
            source_error=watch.loop_error or self._emulator_error(),
            sink_error=sink.fatal_error if sink else None,
            storm=_storm(watch, now),
            analyzers_ended=watch.analyzers_ended,
        )

    @staticmethod
    def _note_snapshot(group: ActorGroup, watch: _Watch, snapshot: MetricsSnapshot | None) -> None:
        """A metrics actor that has just restarted does not know the run; until it does, nobody may take it for another."""
        if snapshot is None:
            return
        if snapshot.run.run_id:
            watch.snapshot = snapshot
        else:
            group.send(METRICS, api.MetricsApi.set_run, watch.run_info)

    def _keep_alive(self, group: ActorGroup, watch: _Watch, now: float) -> None:
        """Pings those who are due, and restarts those who hang. Who died is restarted by Ray."""
        for name in watch.liveness.due(now):
            watch.pings[name] = group.send(Address(name), ActorApi.ping)
        for name, answer in group.collect(watch.pings, timeout_s=0.0).items():
            if isinstance(answer, CallFailure) and answer.kind is FailureKind.TIMEOUT:
                continue
            del watch.pings[name]
            if isinstance(answer, CallFailure):
                watch.liveness.failed(name, now)
                if answer.kind is FailureKind.RAISED:
                    watch.loop_error = f"{name}: {answer.error}"
            elif watch.liveness.answered(name, answer, now):
                watch.breaker.restarted(now)
                watch.throttle_restored &= name != THROTTLE
                watch.queue_informed &= name != SINK  # what the old sink committed may not have reached the queue
        for name in watch.liveness.overdue(now):
            watch.pings.pop(name, None)
        for name in watch.liveness.hung():
            group.restart(name)

    def _refill(self, group: ActorGroup, watch: _Watch, queue: QueueStats | None) -> None:
        """A queue or a throttle that started again is empty and waits to be told; without the database it waits longer."""
        try:
            if queue is not None and queue.epoch != watch.epoch:
                self._open_queue(group, watch)
                group.start_loops(group.producers)  # whoever had offered everything offers again what has no row
            elif not watch.queue_informed:
                informed = group.ask(QUEUE, QueueApi.open, self._done_ranges(), len(group.producers))
                watch.queue_informed = not isinstance(informed, CallFailure)
            if not watch.throttle_restored:
                watch.throttle_restored = self._restoring.begin(group)
            else:
                self._restoring.correct(group)
        except DATABASE_AWAY:
            return  # the next look tries again; the sink says when the database is lost for good

    @staticmethod
    def _note_loops(group: ActorGroup, watch: _Watch) -> None:
        """A loop may end well, never with an error: bad input, or a defect."""
        ended = group.ended_loops()
        for name, result in ended.items():
            if isinstance(result, CallFailure) and result.kind is FailureKind.RAISED:
                watch.loop_error = f"{name}: {result.error}"
        if all(name in ended for name in group.analyzers):
            watch.analyzers_ended = frozenset(str(ended[name]) for name in group.analyzers if not isinstance(ended[name], CallFailure))

    def _emulator_error(self) -> str | None:
        return None if self._emulator is None or self._emulator.running else "the emulator's process has ended"

    # ── drain and stop ───────────────────────────────────────────────────────────────────────────────────────────────

    def _end(self, group: ActorGroup, watch: _Watch, ending: Ending, signals: Signals) -> Outcome:
        """Input first, then requests in flight, then their results: no step leaves work for one before it. The counts come last."""
        hurried = ending.hurry or signals.hurry
        patience = HURRY_S / 2 if hurried else self._plan.config.run.drain_timeout_s
        group.send(CONTROL, api.ControlApi.in_effect, watch.desired.version)
        self._step([group.send(QUEUE, QueueApi.close_input)], 5.0, signals)
        self._step([group.send(QUEUE, QueueApi.close_leases)], 5.0, signals)
        drains = [group.send(name, api.AnalyzerApi.drain, patience) for name in group.analyzers]
        drained = self._step(drains, 2 * HURRY_S if hurried else patience + 10.0, signals)
        if not drained:  # requests in flight are given up now, and put on record as possibly billed
            self._step([group.send(name, api.AnalyzerApi.drain, HURRY_S / 2) for name in group.analyzers], 2 * HURRY_S, signals)
        flush_s = HURRY_S if hurried else self._plan.config.sink.statement_timeout_s + 5.0
        self._step([group.send(SINK, api.SinkApi.flush)], flush_s, signals)
        group.dismiss([*group.producers, *group.analyzers])
        self._step([group.send(SINK, api.SinkApi.stop)], HURRY_S, signals)
        outcome = self._conclude(group, watch, ending, hurried or signals.hurry)
        ended = {"status": outcome.ending.status.value, "reason": outcome.ending.reason}
        wait_for([group.send(METRICS, api.MetricsApi.set_run, ended)], HURRY_S)
        group.dismiss([name for name in group.services if name != METRICS])
        return outcome

    @staticmethod
    def _step(calls: Sequence[Pending[object]], timeout_s: float, signals: Signals) -> bool:
        """Whether these calls ended in time; there is little time left once a second signal says: now."""
        deadline = time.monotonic() + timeout_s
        while True:
            wait_for(calls, min(0.2, timeout_s))
            answers = [call.answer() for call in calls]
            if not any(isinstance(answer, CallFailure) and answer.kind is FailureKind.TIMEOUT for answer in answers):
                return True
            if signals.hurry:
                deadline = min(deadline, time.monotonic() + HURRY_S / 2)
            if time.monotonic() >= deadline:
                return False

    def _conclude(self, group: ActorGroup, watch: _Watch, ending: Ending, hurried: bool) -> Outcome:
        self._footprint.sample(float("inf"))
        parts = group.send(QUEUE, QueueApi.stats), group.send(THROTTLE, api.ThrottleApi.stats), group.send(SINK, api.SinkApi.stats)
        wait_for(parts, HURRY_S)
        queue, throttle, sink = parts[0].value(), parts[1].value(), parts[2].value()
        if queue is not None and queue.epoch == watch.epoch:
            watch.queue.note(queue)
        books = read_books(self._plan, timeout_s=2 * HURRY_S if hurried else BOOKS_TIMEOUT_S)
        if not isinstance(books, Books):
            ending = Ending(RunStatus.FAILED, f"{ending.reason}; then the database could not be asked: {books}")
        elif ending.status is RunStatus.COMPLETE and (missing := missing_rows(watch.queue.stats, books)):
            ending = Ending(RunStatus.FAILED, f"{missing} reads have no row, a defect of helix_ray; please report it")
        end = SessionEnd(
            ending=ending,
            duration_s=time.monotonic() - watch.started_at,
            peak_pss_mb=self._footprint.peak_mb,
            queue=watch.queue.stats,
            rows_at_open=watch.rows_at_open,
            throttle=throttle,
            sink=sink,
            bottlenecks=watch.bottlenecks,
            totals=watch.snapshot.totals if watch.snapshot else None,
        )
        return Outcome(ending, write_report(self._plan, end, books if isinstance(books, Books) else None))


def _is_through(queue: QueueStats, producers: int) -> bool:
    """Every producer has offered all it has, and what was offered is committed: only that takes a read off the queue."""
    return queue.producers_finished == producers and queue.waiting + queue.redelivered + queue.leased == 0


def _storm(watch: _Watch, now: float) -> str | None:
    if watch.breaker.is_open:
        return "actors keep dying and nothing is stored; see the logs of Ray"
    silent = watch.liveness.silent(now, SILENCE_S)
    return f"{', '.join(silent)} did not come back within {SILENCE_S:g} s; see the logs of Ray" if silent else None


def _budget_message(throttle: ThrottleStats) -> str:
    return (
        f"budget: ${throttle.spent_usd:.6f} of throttle.max_cost_usd ${throttle.max_cost_usd:g} is spent, "
        "and the worst case of one more request would pass it; to go on, resume with a higher one (--set throttle.max_cost_usd=...)"
    )
