"""A run that is over, as a snapshot: counted by the database instead of by its actors."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from helix_ray.control.command_log import recorded_ack
from helix_ray.environment.run_file import RunFile
from helix_ray.environment.secrets import DATABASE_URL, Secret, load_secrets
from helix_ray.errors import StartError
from helix_ray.metrics.history import from_columns
from helix_ray.metrics.recent import RecentRead, calls_of, marks_of, shown_bases, verdict_of
from helix_ray.metrics.snapshot import (
    SHOWN_COMMANDS,
    CommandView,
    HistoryPoint,
    Latency,
    MetricsSnapshot,
    Money,
    QueueView,
    RunInfo,
    Totals,
)
from helix_ray.records import Ack, JsonObject, RunStatus
from helix_ray.results.files import report_path
from helix_ray.scoring.strata import DIMENSIONS
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.embedded import embedded_url
from helix_ray.storage.ledger import Ledger, RecentRow, StoredRun

DEADLINE_S = 30.0  # a million reads are counted in about ten
RECENT = 50
ANSWER_DEADLINE_S = 10.0


def past_snapshot(home: Path, run_file: RunFile) -> MetricsSnapshot | None:
    """None when the database of that run does not know it. Raises the ledger's errors when the database cannot be asked."""
    url = database_url(home, run_file)
    if url is None:
        return None
    return with_ledger(Secret(url), lambda ledger: snapshot_from(ledger, run_file.run_id), DEADLINE_S, DEADLINE_S)


def stored_config(home: Path, run_file: RunFile) -> JsonObject:
    """The configuration of that run as it began. StartError when the database does not know it; else as `past_snapshot`."""
    url = database_url(home, run_file)
    stored = url and with_ledger(Secret(url), lambda ledger: ledger.load_run(run_file.run_id), DEADLINE_S, DEADLINE_S)
    if not stored:
        raise StartError(f"the database does not know run {run_file.run_id}")
    return stored.config


def database_url(home: Path, run_file: RunFile) -> str | None:
    """The database that the run was stored in; None when it was the embedded one and that is gone.

    MissingSecretError when it was an external one and DATABASE_URL is not set here.
    """
    if run_file.database == "external":
        reason = f"the last run, {run_file.run_id}, is stored in an external database"
        return load_secrets(os.environ, Path(".env")).require(DATABASE_URL, reason).reveal()
    return embedded_url(home) if (home / "postgres").is_dir() else None


async def snapshot_from(ledger: Ledger, run_id: str) -> MetricsSnapshot | None:
    """What the ledger knows about a run; rates, queue and throttle are as empty as they are now."""
    stored = await ledger.load_run(run_id)
    if stored is None:
        return None
    counts = await ledger.counts(run_id)
    scores = await ledger.scores(run_id)
    reads = await ledger.recent_reads(run_id, RECENT)
    alerts = await ledger.recent_alerts(run_id, RECENT)
    commands = await ledger.controls(run_id)
    run, report = _run_info(stored), stored.totals or {}
    state, reason = stored.status.value.upper(), run.reason or "the run has ended"
    if stored.status is RunStatus.RUNNING:
        state, reason = "FAILED", f"the run ended without closing its books; resume it with --resume {run_id}"
    return MetricsSnapshot(
        as_of=stored.finished_at.timestamp() if stored.finished_at else time.time(),
        run=run,
        state=state,
        reason=reason,
        totals=Totals(
            produced=counts.rows,
            analysed=counts.by_disposition.get("stored", 0),
            stored=counts.rows,
            dead_letters=counts.by_disposition.get("dead_letter", 0),
            requests=counts.requests,
            http_429=counts.http_429,
            tokens_prompt=counts.prompt_tokens,
            tokens_cached=counts.cached_tokens,
            tokens_completion=counts.completion_tokens,
            resent=counts.resent,
            failures=sum(counts.failures.values()),
            failures_by_kind=tuple(counts.failures.items()),
            reads_by_tier=tuple(counts.reads_by_tier.items()),
            left_out=tuple(counts.left_out.items()),
            repairs=counts.repairs,
            suppressed=report.get("conflicts_suppressed"),
        ),
        queue=_queue(report),
        money=Money(spent_usd=float(counts.cost_usd), max_cost_usd=run.max_cost_usd),
        latency=Latency(*(counts.latency_ms.get(name) for name in ("p50", "p95", "p99"))),
        accuracy=scores.model.by("type"),
        all_differences=scores.all_differences.by("type"),
        ceiling=scores.ceiling.by("type"),
        strata={name: levels for name in sorted(DIMENSIONS) if name != "type" and (levels := scores.model.by(name))},
        read_sums=scores.reads,
        off_by=tuple(sorted(scores.off_by.items())),
        recent_reads=tuple(_recent(row) for row in reads),
        recent_alerts=tuple(_recent(row) for row in alerts),
        commands=tuple(CommandView.of(*row) for row in reversed(commands[-SHOWN_COMMANDS:])),
        progress=min(1.0, counts.rows / run.reads_requested) if run.reads_requested else None,
        elapsed_s=(stored.finished_at - stored.started_at).total_seconds() if stored.finished_at else None,
    )


def provider_of(stored: StoredRun) -> str | None:
    """Who answered; None: the aligner. Runs of earlier versions name none: there was Groq only."""
    named = stored.config.get("provider", {}).get("name", "groq")
    return {"groq": str(named), "emulator": "emulator"}.get(stored.backend)


def _run_info(stored: StoredRun) -> RunInfo:
    config = stored.config
    return RunInfo(
        run_id=stored.run_id,
        name=stored.name,
        backend=stored.backend,
        provider=provider_of(stored),
        simulated=stored.simulated,
        model=config["analyzer"]["model"],
        latency_scale=config["emulator"]["latency_scale"] if stored.simulated else 1.0,
        started_at=stored.started_at.timestamp(),
        config=stored.config_hash,
        reads_requested=config["source"]["count"],
        max_cost_usd=config["throttle"]["max_cost_usd"],
        status=stored.status.value,
        low_watermark=config["queue"]["low_watermark"],
    )


def _queue(report: JsonObject) -> QueueView:
    """As the last session's report has it; what waits now is not known."""
    names = ("max_queue_depth", "max_redelivered", "max_leased", "max_held", "blocked_seconds")
    values: dict[str, Any] = {name: report.get(name) for name in names}
    return QueueView(capacity=report.get("queue_capacity", QueueView().capacity), **values)


def past_history(home: Path, run_id: str) -> list[HistoryPoint]:
    """Of the last session of a run, from its report in this home; empty where that is not, or has none."""
    try:
        return from_columns(json.loads(report_path(home, run_id).read_text(encoding="utf-8")).get("history"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def recorded_answer(home: Path, run_file: RunFile, request_id: str) -> Ack | None:
    """What the database knows of a command; None: it is not on record. Raises the ledger's errors."""
    url = database_url(home, run_file)
    if url is None:
        return None
    rows = with_ledger(Secret(url), lambda ledger: ledger.controls(run_file.run_id), ANSWER_DEADLINE_S, ANSWER_DEADLINE_S)
    found = next((number for number, (event, _) in enumerate(rows) if event.request_id == request_id), None)
    return None if found is None else recorded_ack(*rows[found], version=found + 1)


def _recent(row: RecentRow) -> RecentRead:
    return RecentRead(
        read_index=row.read_index,
        read_id=row.read_id,
        disposition=row.disposition,
        mutation_detected=row.mutation_detected,
        calls=calls_of(row.variants),
        verdict=verdict_of(row.variants),
        latency_ms=row.latency_ms,
        cost_usd=float(row.cost_usd),
        error_kind=row.error_kind,
        finished_at=row.finished_at.timestamp(),
        ref_start=row.ref_start,
        ref_seq=shown_bases(row.ref_seq),
        seq=shown_bases(row.seq),
        marks=marks_of(row.variants),
    )
