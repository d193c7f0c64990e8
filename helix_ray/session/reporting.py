"""Closes the books of a session: asks each part for its own count, writes the report, and marks the run's row."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from helix_ray.analysis.prompts import get_prompt
from helix_ray.config import Backend
from helix_ray.errors import DatabaseLostError, DatabaseUnavailableError
from helix_ray.metrics.reports import SinkReport
from helix_ray.metrics.snapshot import Totals
from helix_ray.queueing.messages import QueueStats
from helix_ray.records import JsonObject, RunStatus
from helix_ray.results.accuracy import Asked, Effort, accuracy, ceiling, scoring
from helix_ray.results.html import render_html
from helix_ray.results.report import Admission, Session, Stored, build_report
from helix_ray.scoring.scores import RunScores
from helix_ray.session.preparation import Plan, with_ledger
from helix_ray.storage.ledger import Agreement, RunCounts
from helix_ray.storage.postgres import PostgresLedger
from helix_ray.supervision.endings import Ending
from helix_ray.throttle.stats import ThrottleStats


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """What the driver brought home. None: that part could not be asked any more."""

    ending: Ending
    duration_s: float
    peak_pss_mb: float
    queue: QueueStats | None
    rows_at_open: int  # rows that the run had when the newest queue began to count
    throttle: ThrottleStats | None
    sink: SinkReport | None
    bottlenecks: Mapping[str, int]  # by name: looks at which the run waited for that
    totals: Totals | None = None  # as metrics heard them last


@dataclass(frozen=True, slots=True)
class Books:
    """What the database says of the whole run."""

    counts: RunCounts
    scores: RunScores
    agreement: Agreement


def report_path(home: Path, run_id: str) -> Path:
    return home / "reports" / f"{run_id}.json"


def resume_command(home: Path, run_id: str) -> str:
    """What to type in this directory to go on with the run: this interpreter, and HELIX_HOME where it is not the default."""
    prefix = "" if home.resolve() == (Path.cwd() / ".helix").resolve() else f"HELIX_HOME={shlex.quote(str(home))} "
    return f"{prefix}{shlex.quote(_interpreter())} -m helix_ray.run --resume {run_id}"


def _interpreter() -> str:
    """As short as it works: ``python`` when that is this one, else a path, relative below the working directory."""
    here = Path(sys.executable)
    found = shutil.which("python")
    if found is not None and Path(found) == here:
        return "python"
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)


def read_books(plan: Plan, timeout_s: float) -> Books | DatabaseLostError | DatabaseUnavailableError:
    """What the database says of the whole run, or why it says nothing."""

    async def read(ledger: PostgresLedger) -> Books:
        run_id = plan.run_id
        await ledger.close_open_calls(run_id)  # nobody sends any more
        return Books(await ledger.counts(run_id), await ledger.scores(run_id), await ledger.agreement(run_id))

    try:
        return with_ledger(plan.database_url, read, timeout_s)
    except (DatabaseLostError, DatabaseUnavailableError) as error:
        return error


def missing_rows(queue: QueueStats | None, books: Books) -> int:
    """Of a run that looks complete: reads of the source that have no row. 0, or there is a defect."""
    return 0 if queue is None or queue.total_reads is None else queue.total_reads - books.counts.rows


def write_report(plan: Plan, end: SessionEnd, books: Books | None) -> JsonObject:
    """The report, also stored in HELIX_HOME/reports and in the run's row. Without books the database's terms are null."""
    report = build_report(_session(plan, end, books), _admission(end.queue), _stored(books))
    save_report(report, report_path(plan.home, plan.run_id))
    if books is not None:
        with suppress(DatabaseLostError, DatabaseUnavailableError):  # lost since the books were read: the file has it all
            with_ledger(plan.database_url, lambda ledger: ledger.finish_run(plan.run_id, end.ending.status, report))
    return report


def save_report(report: JsonObject, path: Path) -> None:
    """The report as JSON, and beside it, with the suffix .html, as a page. Each is written whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, json.dumps(report, indent=2) + "\n")
    _write(page_path(path), render_html(report))


def page_path(path: Path) -> Path:
    """Where the page of the report ``path`` lies."""
    return path.with_name(f"{path.name}.html") if path.suffix == ".html" else path.with_suffix(".html")


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _session(plan: Plan, end: SessionEnd, books: Books | None) -> Session:
    synthetic = plan.config.source.path is None
    total = None if end.queue is None else end.queue.total_reads
    utilisation = {} if end.throttle is None else {name: bucket.utilisation for name, bucket in end.throttle.buckets.items()}
    return Session(
        run_id=plan.run_id,
        status=end.ending.status,
        reason=end.ending.reason,
        backend=plan.config.analyzer.backend.value,
        model=None if plan.config.analyzer.backend is Backend.ALIGNER else plan.config.analyzer.model,
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
        accuracy=accuracy(books.scores) if synthetic and books else None,
        ceiling=ceiling(books.scores) if synthetic and books else None,
        scoring=scoring(books.scores, _asked(plan), _effort(books, end.totals)) if synthetic and books else None,
        agreement=books.agreement._asdict() if books and not synthetic else None,
        configuration=json.loads(plan.row.config_json),
        resume_command=None if end.ending.status is RunStatus.COMPLETE else resume_command(plan.home, plan.run_id),
    )


def _asked(plan: Plan) -> Asked:
    analyzer = plan.config.analyzer
    if analyzer.backend is Backend.ALIGNER:
        return Asked(None, None, None)
    template = get_prompt(analyzer.prompt, examples=analyzer.examples, reads_per_request=analyzer.reads_per_request, work=analyzer.work)
    return Asked(template.name, template.sha256, template.task, analyzer.examples, analyzer.reads_per_request, analyzer.work)


def _effort(books: Books, totals: Totals | None) -> Effort:
    """CPU times are those of this session, which its actors counted."""
    counts, analysed, cpu_s = books.counts, totals.analysed if totals else 0, totals.analyzer_cpu_s if totals else 0.0
    known = totals is not None and analysed > 0
    return Effort(
        cost_usd=float(counts.cost_usd),
        tokens=counts.prompt_tokens + counts.completion_tokens,
        answered_ms=counts.answered_ms,
        latency_ms_p50=counts.latency_ms.get("p50"),
        baseline_us_per_read=1e6 * totals.baseline_s / analysed if known and totals else None,
        scoring_us_per_read=1e6 * totals.scoring_s / analysed if known and totals else None,
        scoring_share=(totals.baseline_s + totals.scoring_s) / cpu_s if totals and cpu_s else None,
    )


def _admission(queue: QueueStats | None) -> Admission:
    if queue is None:
        return Admission(0, 0, 0, 0, 0, 0, 0.0)
    return Admission(
        admitted=queue.admitted,
        handed_back=queue.waiting + queue.redelivered + queue.leased,
        max_queue_depth=queue.max_queue_depth,
        max_redelivered=queue.max_redelivered,
        max_leased=queue.max_leased,
        max_held=queue.max_held,
        blocked_seconds=queue.blocked_seconds,
    )


def _stored(books: Books | None) -> Stored | None:
    if books is None:
        return None
    counts = books.counts
    return Stored(
        rows=counts.rows,
        by_disposition=counts.by_disposition,
        dead_letter_kinds=counts.dead_letter_kinds,
        duplicates=counts.duplicates,
        reads_repaid=counts.reads_repaid,
        repairs=counts.repairs,
        possibly_billed=counts.possibly_billed,
        requests=counts.requests,
        http_429=counts.http_429,
        prompt_tokens=counts.prompt_tokens,
        cached_tokens=counts.cached_tokens,
        completion_tokens=counts.completion_tokens,
        cost_usd=counts.cost_usd,
        latency_ms=counts.latency_ms,
        truth_reads=counts.truth_reads,
        identifiable_reads=counts.identifiable_reads,
        resent=counts.resent,
        failures=counts.failures,
        reads_by_tier=counts.reads_by_tier,
    )
