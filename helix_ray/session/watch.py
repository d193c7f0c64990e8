"""One look after another at a live run: what its parts report, which are dead or hung, and what a new incarnation must get."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from helix_ray.actors import api
from helix_ray.actors.group import ActorGroup, CallFailure, FailureKind, Pending, wait_for
from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import DatabaseLostError, DatabaseUnavailableError
from helix_ray.metrics.reports import SinkReport
from helix_ray.metrics.snapshot import MetricsSnapshot, RunInfo
from helix_ray.queueing.messages import QueueStats
from helix_ray.records import AnalyzerEnd, DesiredState
from helix_ray.session.plan import Plan
from helix_ray.session.throttle_recovery import ThrottleRecovery, permit_lifetime_s
from helix_ray.storage.blocking import with_ledger
from helix_ray.supervision.endings import Facts
from helix_ray.supervision.liveness import Liveness, RestartBreaker
from helix_ray.supervision.recovery import Need, Part, Recovery
from helix_ray.throttle.messages import ThrottleStats

log = event_logger(__name__)

SILENCE_S, CLUSTER_SILENCE_S = 60.0, 180.0
"""An actor that does not come back within this time never will; a cluster takes 17 s to see that a node is gone."""

DONE_DEADLINE_S, DONE_ROWS_PER_S = 30.0, 50_000
"""For the indices of all rows of a run: what a small run gets, and how many rows a second a large one adds to it."""

HUNG = "it hung, so the driver killed it"
UNKNOWN_DEATH = "its process ended without a word: killed (SIGKILL, out of memory) or crashed"

PARTS: dict[str, Part] = {api.SINK: Part.SINK, api.THROTTLE: Part.THROTTLE, api.QUEUE: Part.QUEUE}


class Watch:
    """What the driver knows of its run. Times are monotonic seconds. ``emulator_error`` says why the emulator is gone, or None."""

    def __init__(self, plan: Plan, group: ActorGroup, run_info: RunInfo, emulator_error: Callable[[], str | None]) -> None:
        self._plan = plan
        self._group = group
        self.run_info = run_info
        self._emulator_error = emulator_error
        self._liveness = Liveness()
        self._breaker = RestartBreaker()
        self._recovery = Recovery(permit_lifetime_s(plan))
        self._throttle_recovery = ThrottleRecovery(plan)
        self._pings: dict[str, Pending[str]] = {}
        self._loop_error: str | None = None
        self._away: dict[str, float] = {}  # actors that do not answer, and since when
        self._incarnations: dict[str, str] = {}
        self._hung: set[str] = set()  # and were killed for it
        self._ended: set[str] = set()  # loops
        self._outage: str | None = None  # the sink's, while it lasts
        self._analyzers_ended: frozenset[AnalyzerEnd] = frozenset()  # why, once none is left
        self.started_at = time.monotonic()  # when reads began to flow
        self._opened: str | None = None  # the incarnation of the newest queue
        self.rows_at_open = 0  # reads that were done when the newest queue was opened
        self.queue: QueueStats | None = None  # the newest, with the maxima and the blocked time of all incarnations
        self._queue_before: QueueStats | None = None  # over all incarnations before the newest
        self.desired = DesiredState()
        self.snapshot: MetricsSnapshot | None = None
        self.bottlenecks: Counter[str] = Counter()  # looks at which each was the bottleneck

    def created(self, incarnations: Mapping[api.Address[api.ActorApi], str]) -> None:
        """These actors were made, and answered."""
        now = time.monotonic()
        for name, incarnation in incarnations.items():
            self._liveness.watch(name, now)
            self._liveness.answered(name, incarnation, now)
            self._incarnations[name] = incarnation
            self._seen(name, incarnation)

    def begin(self) -> None:
        """Tells every part what it must know before reads flow. Raises what the database raises."""
        self.started_at = time.monotonic()
        self._group.ask(api.METRICS, api.MetricsApi.set_run, self.run_info)
        self._group.start_loops([api.CONTROL, api.SINK])  # the sink claims the run: no other process may write it
        self._recover(reoffer=False)

    def look(self, signals: int) -> Facts:
        """One round of questions; a part that does not answer leaves its last known facts in place."""
        now, group = time.monotonic(), self._group
        parts = self.ask_parts()
        state, snapshot = group.send(api.CONTROL, api.ControlApi.state), group.send(api.METRICS, api.MetricsApi.snapshot)
        wait_for([*parts, state, snapshot], timeout_s=2.0)
        for name, call in zip((api.QUEUE, api.THROTTLE, api.SINK, api.CONTROL, api.METRICS), (*parts, state, snapshot), strict=True):
            self._note_absence(name, call.answer(), now)
        queue, throttle, sink = parts[0].value(), parts[1].value(), parts[2].value()
        self.desired = state.value() or self.desired
        if throttle is not None:
            self._throttle_recovery.note(throttle)
        if queue is not None:
            self.note_queue(queue)
            self._seen(api.QUEUE, queue.incarnation)
        if sink is not None:
            self._breaker.progress(sink.committed_reads)
            self._note_outage(sink)
        self._note_snapshot(snapshot.value())
        self._keep_alive(now)
        try:
            self._recover()
        except (DatabaseLostError, DatabaseUnavailableError) as error:  # the next look tries again; the sink says when it is lost for good
            log.warning(Event.ERROR_HANDLED, what="a part cannot be informed yet", exc_info=error)
        self._note_loops()
        return Facts(
            elapsed_s=now - self.started_at,
            max_duration_s=self._plan.config.run.max_duration_s,
            signals=signals,
            asked_to=self.desired.ending,
            all_stored=queue is not None and _is_through(queue, len(group.producers)),
            budget_exhausted=_budget_message(throttle) if throttle and throttle.budget_exhausted else None,
            refused=throttle.refused if throttle else None,
            daily_stop=throttle.daily_stop if throttle else None,
            source_error=self._loop_error or self._emulator_error(),
            sink_error=sink.fatal_error if sink else None,
            restart_storm=self._restart_storm(now),
            analyzers_ended=self._analyzers_ended,
        )

    def ask_parts(self) -> tuple[Pending[QueueStats], Pending[ThrottleStats], Pending[SinkReport]]:
        """Starts a call for the statistics of each."""
        queue = self._group.send(api.QUEUE, api.QueueApi.stats)
        throttle = self._group.send(api.THROTTLE, api.ThrottleApi.stats)
        return queue, throttle, self._group.send(api.SINK, api.SinkApi.stats)

    def note_queue(self, queue: QueueStats) -> None:
        if self.queue is not None and self.queue.incarnation != queue.incarnation:
            self._queue_before = self.queue
        self.queue = queue if self._queue_before is None else queue.after(self._queue_before)

    def knows(self, queue: QueueStats) -> bool:
        """These are the statistics of the queue that was opened last."""
        return queue.incarnation == self._recovery.incarnation(Part.QUEUE)

    def _seen(self, name: str, incarnation: str) -> None:
        if name in PARTS:
            self._recovery.on(PARTS[name], incarnation)

    def _note_snapshot(self, snapshot: MetricsSnapshot | None) -> None:
        """A metrics actor that has just restarted does not know the run; until it does, its snapshots are not taken for the run's."""
        if snapshot is None:
            return
        if snapshot.run.run_id:
            self.snapshot = snapshot
            self._check_places(snapshot)
        else:
            self._group.send(api.METRICS, api.MetricsApi.set_run, self.run_info)

    @property
    def actors_mb(self) -> float:
        """Of the actors of a cluster, which are no children of this process."""
        if self.run_info.driver_node is None or self.snapshot is None:
            return 0.0
        return sum(actor.pss_mb or 0.0 for actor in self.snapshot.actors)

    def _check_places(self, snapshot: MetricsSnapshot) -> None:
        """The parts in charge live where the driver does, after each restart too: else the run would go on sending without it."""
        home = self.run_info.driver_node
        astray = [it for it in snapshot.actors if it.name in self._group.services and home is not None and it.node not in ("", home)]
        for actor in astray:
            log.error(Event.ACTOR_MISPLACED, part=actor.name, node=actor.node, driver_node=home)
            self._loop_error = f"{actor.name} runs on node {actor.node}, and the driver on {home}"

    def _keep_alive(self, now: float) -> None:
        """Pings the actors that are due, and restarts those that hang. A dead process is restarted by Ray."""
        for name in self._liveness.due(now):
            self._pings[name] = self._group.send(api.Address(name), api.ActorApi.ping)
        for name, answer in self._group.collect(self._pings, timeout_s=0.0).items():
            if isinstance(answer, CallFailure) and answer.kind is FailureKind.TIMEOUT:
                continue
            del self._pings[name]
            if isinstance(answer, CallFailure):
                self._liveness.failed(name, now)
                if answer.kind is FailureKind.RAISED:
                    self._fail(name, answer)
                self._note_absence(name, answer, now)
            else:
                if self._liveness.answered(name, answer, now):
                    self._breaker.restarted(now)
                    self._note_restart(name, answer, now)
                elif self._away.pop(name, None) is not None:
                    log.info(Event.PEER_BACK, peer=name, incarnation_unchanged=answer)
                self._seen(name, answer)
        for name in self._liveness.hung(now):
            self._pings.pop(name, None)
            log.warning(Event.ACTOR_HUNG, part=name, was=self._incarnations[name], action="killed, so that Ray restarts it")
            self._hung.add(name)
            self._group.restart(name)

    def _recover(self, *, reoffer: bool = True) -> None:
        for need in self._recovery.due(time.monotonic()):
            match need:
                case Need.RESTORE_THROTTLE:
                    answered, provisional = self._throttle_recovery.restore(self._group, self.desired.max_cost_usd)
                    if answered is not None:
                        self._recovery.informed(Part.THROTTLE, answered, time.monotonic(), provisional=provisional)
                case Need.CORRECT_THROTTLE:
                    informed = self._recovery.incarnation(Part.THROTTLE) or ""
                    spent_usd, answered = self._throttle_recovery.correct(self._group, informed)
                    self._recovery.corrected(spent_usd, answered, time.monotonic())
                case Need.OPEN_QUEUE | Need.INFORM_QUEUE:
                    if self._open_queue() and reoffer:  # producers that had offered everything offer again what has no row
                        self._group.start_loops(self._group.producers)

    def _open_queue(self) -> bool:
        """Whether this queue was not open: also one that came back between two looks, and was to be told of a dead sink's rows only."""
        run_id = self._plan.run_id
        rows = max(self._plan.rows_before, self.rows_at_open + (self.queue.acked if self.queue else 0))
        deadline_s = DONE_DEADLINE_S + rows / DONE_ROWS_PER_S
        done = with_ledger(self._plan.database_url, lambda ledger: ledger.done_ranges(run_id), deadline_s)
        answer = self._group.ask(api.QUEUE, api.QueueApi.open, done, len(self._group.producers))
        if not isinstance(answer, CallFailure):
            self._recovery.informed(Part.QUEUE, answer, time.monotonic())
            rows = sum(stop - start for start, stop in done)
            log.info(Event.QUEUE_OPENED, informed=answer, done=rows, new=answer != self._opened)
            if answer != self._opened:  # else a new sink: the queue goes on counting where it was
                self._opened, self.rows_at_open = answer, rows
                return True
        return False

    def _note_loops(self) -> None:
        """A loop may end well, never with an error: bad input, or a defect."""
        ended = self._group.ended_loops()
        for name, result in ended.items():
            if isinstance(result, CallFailure) and result.kind is FailureKind.RAISED:
                self._fail(name, result)
            elif name not in self._ended:
                log.info(Event.LOOP_ENDED, part=name, result=result.error if isinstance(result, CallFailure) else result)
        self._ended = {*ended}
        if all(name in ended for name in self._group.analyzers):
            reasons = [ended[name] for name in self._group.analyzers]
            self._analyzers_ended = frozenset(AnalyzerEnd(reason) for reason in reasons if not isinstance(reason, CallFailure))

    def _fail(self, name: str, failure: CallFailure) -> None:
        if self._loop_error is None:
            log.error(Event.ACTOR_FAILED, part=name, was=self._incarnations[name], exc_info=failure.error)
        self._loop_error = f"{name}: {failure.error}"

    def _note_absence(self, name: str, answer: object, now: float) -> None:
        """Told once, with what Ray says. Whether it died shows when it answers again: as another incarnation, or as the same."""
        if isinstance(answer, CallFailure) and answer.kind is FailureKind.UNAVAILABLE and name not in self._away:
            self._away[name] = now
            log.warning(Event.PEER_AWAY, peer=name, incarnation_before=self._incarnations[name], exc_info=answer.error)

    def _note_restart(self, name: str, incarnation: str, now: float) -> None:
        away_since, was = self._away.pop(name, None), self._incarnations[name]
        log.warning(Event.ACTOR_DIED, part=name, was=was, cause=HUNG if name in self._hung else UNKNOWN_DEATH)
        away_s = None if away_since is None else round(now - away_since, 1)
        log.warning(Event.ACTOR_RESTARTED, part=name, was=was, now=incarnation, away_s=away_s)
        self._hung.discard(name)
        self._incarnations[name] = incarnation

    def _note_outage(self, sink: SinkReport) -> None:
        if sink.outage_s > 0 and self._outage is None:
            self._outage = sink.last_error
            log.warning(Event.OUTAGE_BEGAN, connection="told by the sink", error=sink.last_error)
        elif sink.outage_s == 0 and self._outage is not None:
            self._outage = None
            log.warning(Event.OUTAGE_ENDED, connection="told by the sink")

    def _restart_storm(self, now: float) -> str | None:
        if self._breaker.is_open:
            return f"actors keep dying and nothing is stored; see `helix logs {self._plan.run_id}`"
        ray = self._plan.config.ray
        silence_s = ray.silence_s or (SILENCE_S if ray.address is None else CLUSTER_SILENCE_S)
        silent = self._liveness.silent(now, silence_s)
        return f"{', '.join(silent)} did not come back within {silence_s:g} s; see `helix logs {self._plan.run_id}`" if silent else None


def _is_through(queue: QueueStats, producers: int) -> bool:
    """Every producer has offered all it has, and what was offered is committed: only that takes a read off the queue."""
    return queue.producers_finished == producers and queue.waiting + queue.redelivered + queue.leased == 0


def _budget_message(throttle: ThrottleStats) -> str:
    return (
        f"budget: ${throttle.spent_usd:.6f} of throttle.max_cost_usd ${throttle.max_cost_usd:g} is spent, "
        "and the worst case of one more request would pass it; to go on, resume with a higher one (--set throttle.max_cost_usd=...)"
    )
