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

import os
import time
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

from helix_ray.actors.cluster import Cluster, cluster_of
from helix_ray.actors.group import ActorGroup
from helix_ray.actors.nodes import home_of_session, this_node
from helix_ray.emulator.process import EmulatorProcess
from helix_ray.environment.logs import Event, RunLog, driver_log, event_logger, last_driver
from helix_ray.environment.run_file import RunFile
from helix_ray.environment.variables import for_python
from helix_ray.metrics.snapshot import RunInfo
from helix_ray.records import RunStatus
from helix_ray.session.memory import PeakMemory
from helix_ray.session.nodes import check_cluster
from helix_ray.session.notify import Notifier
from helix_ray.session.outcome import Listener, Outcome
from helix_ray.session.plan import Plan
from helix_ray.session.reporting import resume_command
from helix_ray.session.shutdown import Shutdown
from helix_ray.session.signals import Signals
from helix_ray.session.watch import Watch
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.embedded import kept_running
from helix_ray.supervision.endings import Ending, decide

log = event_logger(__name__)

SERVICES = 5  # metrics, control, queue, throttle, sink
LOOK_INTERVAL_S = 0.5


class Pipeline:
    """One session of one run, from the first actor to the report."""

    def __init__(
        self, plan: Plan, listener: Listener | None = None, hold: bool = False, signals: Signals | None = None, log_level: str = "info"
    ) -> None:
        """``signals``: those that the caller has entered, so that they are handled before `run` and after it."""
        self._plan = plan
        actors = plan.config.source.producers + plan.config.analyzer.workers + SERVICES
        self._run_log = RunLog(plan.home, plan.run_id, log_level, writers=actors + 1)
        self._listener = (listener or Listener()).unfailing()
        self._hold = hold
        self._signals = signals
        self._emulator: EmulatorProcess | None = None
        self._ended: Outcome | None = None
        self._memory = PeakMemory(plan.home / "postgres")
        run = {"run_id": plan.run_id, "name": plan.row.name, "simulated": plan.simulated}
        self._notifier = Notifier(plan.config.notify.url, run)

    def run(self) -> Outcome:
        """Runs to an ending. Raises what kept it from starting; once the run has its row, every ending is an `Outcome`."""
        plan = self._plan
        with ExitStack() as stack:
            stack.enter_context(driver_log(self._run_log))
            self._log_start()
            stack.push(self._log_end)
            stack.callback(self._notifier.wait)  # while everything else has ended
            signals = self._signals or stack.enter_context(Signals())
            if plan.config.sink.database == "embedded":
                stack.enter_context(kept_running(plan.home))
            with ThreadPoolExecutor(1) as beside:
                # its environment is taken here: the start of Ray changes this process's own meanwhile
                emulator = beside.submit(self._emulator_url, stack.enter_context(ExitStack()), for_python())
                cluster = stack.enter_context(cluster_of(plan.home, plan.config.ray))
            signals.install()
            if cluster.driver_node is not None:
                check_cluster(plan, plan.config.ray.namespace, cluster.driver_node)
            emulator_url = emulator.result()
            run_log, keys = replace(self._run_log, driver_node=cluster.driver_node), (plan.database_url, plan.api_key)
            group = ActorGroup(plan.config, plan.run_id, *keys, emulator_url, plan.tariff, run_log, plan.home, cluster.driver_node)
            watch = Watch(plan, group, self._run_info(cluster), self._emulator_error)
            # at once: nothing flows, since the queue is not open and the throttle grants nothing yet
            watch.created(group.create([*group.services, *group.analyzers, *group.producers]))
            signals.arm()
            self._record_start()
            self._run_file(cluster, emulator_url).write(plan.home)
            stack.callback(RunFile.remove, plan.home)
            ending = self._flow(group, cluster, watch, signals)
            log.info(Event.ENDING, status=ending.status.value, reason=ending.reason, forced=ending.force, signal=signals.received)
            self._listener.ending(ending)
            outcome = Shutdown(plan, group, watch, signals, self._memory).run(ending)
            self._log_outcome(outcome)
            self._notifier.ended(outcome.report)
            self._listener.ended(outcome)
            signals.leave_in_time(outcome.exit_code)
            if self._hold and not signals.force:
                self._listener.held()
                signals.wait_for_one_more()
        return outcome

    def _log_start(self) -> None:
        plan = self._plan
        if (last := last_driver(self._run_log.folder)) is not None:
            log.warning(Event.DRIVER_DIED, was=last["incarnation"], at_about=last["until"], cause="killed, or crashed: it told no ending")
        log.info(
            Event.SESSION_STARTED,
            name=plan.row.name,
            resumed=plan.resumed,
            rows_before=plan.rows_before,
            backend=plan.row.backend,
            provider=plan.config.provider_name,
            version=plan.row.versions["helix_ray"],
            config=plan.row.config_hash,
            pid=os.getpid(),
            resume_command=resume_command(plan.home, plan.run_id),
        )

    def _log_outcome(self, outcome: Outcome) -> None:
        """Before Ray ends, since a second signal may cut that off."""
        self._ended = outcome
        report = outcome.report
        facts = {key: report[key] for key in ("status", "reads_stored", "dead_letters", "lost", "duplicates", "cost_usd", "duration_s")}
        log.info(Event.SESSION_ENDED, exit_code=outcome.exit_code, facts=facts)

    def _log_end(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if self._ended is None:
            log.error(Event.SESSION_ENDED, exc_info=error)

    def _emulator_url(self, stack: ExitStack, environment: Mapping[str, str]) -> str | None:
        config = self._plan.config
        if not config.analyzer.backend.simulated:
            return None
        self._emulator = EmulatorProcess.start(config.emulator, config.analyzer.model, environment=environment)
        stack.callback(self._emulator.stop)
        log.info(Event.EMULATOR_STARTED, url=self._emulator.url)
        return self._emulator.url

    def _emulator_error(self) -> str | None:
        return None if self._emulator is None or self._emulator.running else "the emulator's process has ended"

    def _record_start(self) -> None:
        plan = self._plan
        with_ledger(
            plan.database_url, lambda ledger: ledger.resume_run(plan.run_id, plan.row) if plan.resumed else ledger.start_run(plan.row)
        )

    def _flow(self, group: ActorGroup, cluster: Cluster, watch: Watch, signals: Signals) -> Ending:
        """Lets reads flow, consumers first, and watches until there is a reason to end. A defect of ours is a reason, too."""
        try:
            watch.begin()
            group.start_loops(group.analyzers)
            group.start_loops(group.producers)
            self._listener.started(cluster)
            while (ending := decide(watch.look(signals.count))) is None:
                if watch.snapshot is not None:
                    watch.bottlenecks[watch.snapshot.bottleneck.name] += 1
                    self._listener.progress(watch.snapshot)
                    self._notifier.look(watch.snapshot)
                self._memory.sample(time.monotonic(), watch.actors_mb)
                signals.wait(LOOK_INTERVAL_S)
        except Exception as error:
            log.exception(Event.DRIVER_FAILED)
            traceback.print_exc()
            return Ending(RunStatus.FAILED, f"{type(error).__name__}: {error}")
        return ending

    def _run_file(self, cluster: Cluster, emulator_url: str | None) -> RunFile:
        plan = self._plan
        return RunFile.for_this_process(
            plan.run_id,
            cluster.address,
            plan.config.ray.namespace,
            cluster.dashboard_url,
            cluster.token_path,
            emulator_url=emulator_url,
            database=plan.config.sink.database,
        )

    def _run_info(self, cluster: Cluster) -> RunInfo:
        config = self._plan.config
        return RunInfo(
            run_id=self._plan.run_id,
            name=config.run.name,
            backend=config.analyzer.backend.value,
            provider=config.provider_name,
            simulated=self._plan.simulated,
            model=config.analyzer.model,
            latency_scale=config.emulator.latency_scale if config.analyzer.backend.simulated else 1.0,
            reads_requested=config.source.count,
            rows_before=self._plan.rows_before,
            cost_before_usd=self._plan.cost_before_usd,
            max_cost_usd=config.throttle.max_cost_usd,
            started_at=time.time(),
            config=self._plan.row.config_hash,
            dashboard_url=cluster.dashboard_url,
            low_watermark=config.queue.low_watermark,
            driver_node=None if cluster.driver_node is None else this_node(),
            logs=str(self._run_log.folder),
            logs_elsewhere=str(replace(self._run_log, home=home_of_session()).folder) if cluster.driver_node is not None else "",
        )
