"""The end of a session: input first, then requests in flight, then their results; the counts and the report come last."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from helix_ray.actors import api
from helix_ray.actors.group import ActorGroup, CallFailure, FailureKind, Pending, wait_for
from helix_ray.records import RunStatus
from helix_ray.session.memory import PeakMemory
from helix_ray.session.outcome import Outcome
from helix_ray.session.plan import Plan
from helix_ray.session.reporting import RunTotals, SessionEnd, missing_rows, read_totals, write_report
from helix_ray.session.signals import Signals
from helix_ray.session.watch import Watch
from helix_ray.supervision.endings import Ending

FORCED_STEP_S = 0.8
"""What each step may take once the user has asked twice: together with Ray's own end that is below 5 s."""

TOTALS_TIMEOUT_S = 600.0
"""Counting the rows of a long run takes a while; it is done once."""


class Shutdown:
    """Ends a run so that no step leaves work for one before it. ``signals`` shortens what is left when the user asks again."""

    def __init__(self, plan: Plan, group: ActorGroup, watch: Watch, signals: Signals, memory: PeakMemory) -> None:
        self._plan = plan
        self._group = group
        self._watch = watch
        self._signals = signals
        self._memory = memory

    def run(self, ending: Ending) -> Outcome:
        """Drains, stores, counts and reports."""
        group, config = self._group, self._plan.config
        forced = ending.force or self._signals.force
        drain_timeout_s = FORCED_STEP_S / 2 if forced else config.run.drain_timeout_s
        group.send(api.CONTROL, api.ControlApi.in_effect, self._watch.desired.version)
        self._step([group.send(api.QUEUE, api.QueueApi.close_input)], 5.0)
        self._step([group.send(api.QUEUE, api.QueueApi.close_leases)], 5.0)
        drains = [group.send(name, api.AnalyzerApi.drain, drain_timeout_s) for name in group.analyzers]
        if not self._step(drains, 2 * FORCED_STEP_S if forced else drain_timeout_s + 10.0):
            # requests in flight are given up now, and put on record as possibly billed
            self._step([group.send(name, api.AnalyzerApi.drain, FORCED_STEP_S / 2) for name in group.analyzers], 2 * FORCED_STEP_S)
        self._step([group.send(api.SINK, api.SinkApi.flush)], FORCED_STEP_S if forced else config.sink.statement_timeout_s + 5.0)
        group.dismiss([*group.producers, *group.analyzers])
        self._step([group.send(api.SINK, api.SinkApi.stop), group.send(api.CONTROL, api.ControlApi.stop)], FORCED_STEP_S)
        outcome = self._conclude(ending, forced or self._signals.force)
        ended = replace(self._watch.run_info, status=outcome.ending.status.value, reason=outcome.ending.reason)
        wait_for([group.send(api.METRICS, api.MetricsApi.set_run, ended)], FORCED_STEP_S)
        group.dismiss([name for name in group.services if name != api.METRICS])
        return outcome

    def _step(self, calls: Sequence[Pending[object]], timeout_s: float) -> bool:
        """Whether these calls ended in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            wait_for(calls, min(0.2, timeout_s))
            answers = [call.answer() for call in calls]
            if not any(isinstance(answer, CallFailure) and answer.kind is FailureKind.TIMEOUT for answer in answers):
                return True
            if self._signals.force:
                deadline = min(deadline, time.monotonic() + FORCED_STEP_S / 2)
            if time.monotonic() >= deadline:
                return False

    def _conclude(self, ending: Ending, forced: bool) -> Outcome:
        watch = self._watch
        self._memory.sample(float("inf"))
        parts, history = watch.ask_parts(), self._group.send(api.METRICS, api.MetricsApi.history, 0.0)
        wait_for([*parts, history], FORCED_STEP_S)
        queue, throttle, sink = parts[0].value(), parts[1].value(), parts[2].value()
        if queue is not None and watch.knows(queue):
            watch.note_queue(queue)
        totals = read_totals(self._plan, timeout_s=2 * FORCED_STEP_S if forced else TOTALS_TIMEOUT_S)
        if not isinstance(totals, RunTotals):
            ending = Ending(RunStatus.FAILED, f"{ending.reason}; then the database could not be asked: {totals}")
        elif ending.status is RunStatus.COMPLETE and (missing := missing_rows(watch.queue, totals)):
            ending = Ending(RunStatus.FAILED, f"{missing} reads have no row, a defect of helix_ray; please report it")
        end = SessionEnd(
            ending=ending,
            duration_s=time.monotonic() - watch.started_at,
            peak_pss_mb=self._memory.peak_mb,
            queue=watch.queue,
            rows_at_open=watch.rows_at_open,
            throttle=throttle,
            sink=sink,
            bottlenecks=watch.bottlenecks,
            totals=watch.snapshot.totals if watch.snapshot else None,
            history=history.value() or (),
        )
        return Outcome(ending, write_report(self._plan, end, totals if isinstance(totals, RunTotals) else None))
