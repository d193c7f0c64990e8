"""The end of a session on record: totals of the run from the database, the report, and the run's row."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from helix_ray.analysis.prompts import template_of
from helix_ray.config.schema import MOST_COST_USD
from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import DatabaseLostError, DatabaseUnavailableError
from helix_ray.metrics.history import as_columns
from helix_ray.metrics.reports import SinkReport
from helix_ray.metrics.snapshot import HistoryPoint, Totals
from helix_ray.queueing.messages import QueueStats
from helix_ray.records import RunStatus
from helix_ray.results.accuracy import Asked, Effort, accuracy, all_differences, ceiling, scoring
from helix_ray.results.files import report_path, save_report
from helix_ray.results.report import Session, build_report
from helix_ray.results.schema import Report
from helix_ray.scoring.scores import RunScores
from helix_ray.session.plan import Plan
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.ledger import Agreement, RunCounts
from helix_ray.storage.postgres import PostgresLedger
from helix_ray.supervision.endings import Ending
from helix_ray.throttle.messages import ThrottleStats

log = event_logger(__name__)


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """What the driver knows at the end. None: that part could not be asked any more."""

    ending: Ending
    duration_s: float
    peak_pss_mb: float
    queue: QueueStats | None
    rows_at_open: int  # rows that the run had when the newest queue began to count
    throttle: ThrottleStats | None
    sink: SinkReport | None
    bottlenecks: Mapping[str, int]  # by name: looks at which the run waited for that
    totals: Totals | None = None  # the newest of the metrics actor
    history: Sequence[HistoryPoint] = ()  # of the metrics actor, oldest first


@dataclass(frozen=True, slots=True)
class RunTotals:
    """What the database says of the whole run."""

    counts: RunCounts
    scores: RunScores
    agreement: Agreement


def resume_command(home: Path, run_id: str, max_cost_usd: float | None = None) -> str:
    """What to type in this directory to go on with the run: this interpreter, and HELIX_HOME where it is not the default.

    ``max_cost_usd``: another cost cap, US dollars, for a run that has used its own up.
    """
    prefix = "" if home.resolve() == (Path.cwd() / ".helix").resolve() else f"HELIX_HOME={shlex.quote(str(home))} "
    return f"{prefix}{shlex.quote(_interpreter())} -m helix_ray.run --resume {run_id}" + (
        "" if max_cost_usd is None else f" --set throttle.max_cost_usd={max_cost_usd:.12g}"
    )


def _interpreter() -> str:
    """As short as it works: ``python`` when that is this one, else a path, relative below the working directory."""
    here = Path(sys.executable)
    found = shutil.which("python")
    if found is not None and Path(found) == here:
        return "python"
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)


def read_totals(plan: Plan, timeout_s: float) -> RunTotals | DatabaseLostError | DatabaseUnavailableError:
    """What the database says of the whole run, or why it says nothing."""

    async def read(ledger: PostgresLedger) -> RunTotals:
        run_id = plan.run_id
        await ledger.close_open_calls(run_id)  # no analyzer sends any more
        return RunTotals(await ledger.counts(run_id), await ledger.scores(run_id), await ledger.agreement(run_id))

    try:
        return with_ledger(plan.database_url, read, timeout_s)
    except (DatabaseLostError, DatabaseUnavailableError) as error:
        log.exception(Event.ERROR_HANDLED, what="the totals cannot be read")
        return error


def missing_rows(queue: QueueStats | None, totals: RunTotals) -> int:
    """Of a run that looks complete: reads of the source that have no row. 0, or there is a defect."""
    return 0 if queue is None or queue.total_reads is None else queue.total_reads - totals.counts.rows


def write_report(plan: Plan, end: SessionEnd, totals: RunTotals | None) -> Report:
    """The report, also stored in HELIX_HOME/reports and in the run's row. Without totals the database's terms are null."""
    report = build_report(_session(plan, end, totals), end.queue, totals.counts if totals else None)
    try:
        save_report(report, report_path(plan.home, plan.run_id))
    except OSError:  # a full disk; the run's row has it too
        log.exception(Event.ERROR_HANDLED, what="the report is not in its file")
    if totals is not None:
        try:
            with_ledger(plan.database_url, lambda ledger: ledger.finish_run(plan.run_id, end.ending.status, {**report}))
        except (DatabaseLostError, DatabaseUnavailableError):  # lost since the totals were read: the file has it all
            log.exception(Event.ERROR_HANDLED, what="the ending is not in the run's row")
    return report


def _session(plan: Plan, end: SessionEnd, totals: RunTotals | None) -> Session:
    synthetic = plan.config.source.path is None
    total = None if end.queue is None else end.queue.total_reads
    utilisation = {} if end.throttle is None else {name: bucket.utilisation for name, bucket in end.throttle.buckets.items()}
    return Session(
        run_id=plan.run_id,
        status=end.ending.status,
        reason=end.ending.reason,
        backend=plan.config.analyzer.backend.value,
        provider=plan.config.provider_name,
        model=plan.config.analyzer.model if plan.config.analyzer.backend.asks_an_api else None,
        simulated=plan.simulated,
        requested=plan.config.source.count if synthetic else total,
        rows_before=plan.rows_before,
        rows_at_open=end.rows_at_open,
        duration_s=end.duration_s,
        peak_pss_mb=end.peak_pss_mb,
        queue_capacity=plan.config.queue.capacity,
        conflicts_suppressed=0 if end.sink is None else end.sink.suppressed,
        utilisation=utilisation,
        bottlenecks=end.bottlenecks,
        authorised_usd=None if end.throttle is None else end.throttle.authorised_usd,
        accuracy=accuracy(totals.scores) if synthetic and totals else None,
        accuracy_all_differences=all_differences(totals.scores) if synthetic and totals else None,
        ceiling=ceiling(totals.scores) if synthetic and totals else None,
        scoring=scoring(totals.scores, _asked(plan), _effort(totals, end.totals)) if synthetic and totals else None,
        agreement=totals.agreement if totals and not synthetic else None,
        configuration=json.loads(plan.row.config_json),
        history=as_columns(end.history),
        resume_command=None if end.ending.status is RunStatus.COMPLETE else resume_command(plan.home, plan.run_id, next_cap_usd(end)),
    )


def next_cap_usd(end: SessionEnd) -> float | None:
    """Twice the cap that ended the session; None: it was not the cap."""
    throttle = end.throttle
    return min(2 * float(throttle.max_cost_usd), MOST_COST_USD) if throttle is not None and throttle.budget_exhausted else None


def _asked(plan: Plan) -> Asked:
    analyzer = plan.config.analyzer
    if not analyzer.backend.asks_an_api:
        return Asked(None, None, None)
    template = template_of(analyzer)
    return Asked(template.name, template.sha256, template.task, analyzer.examples, analyzer.reads_per_request, analyzer.work)


def _effort(totals: RunTotals, session: Totals | None) -> Effort:
    """CPU times are those of this session, which its actors counted."""
    counts, analysed, cpu_s = totals.counts, session.analysed if session else 0, (session and session.analyzer_cpu_s) or 0.0
    baseline_s, scoring_s = (session and session.baseline_s) or 0.0, (session and session.scoring_s) or 0.0
    return Effort(
        cost_usd=float(counts.cost_usd),
        tokens=counts.prompt_tokens + counts.completion_tokens,
        answered_ms=counts.answered_ms,
        latency_ms_p50=counts.latency_ms.get("p50"),
        baseline_us_per_read=1e6 * baseline_s / analysed if analysed else None,
        scoring_us_per_read=1e6 * scoring_s / analysed if analysed else None,
        scoring_share=(baseline_s + scoring_s) / cpu_s if cpu_s else None,
    )
