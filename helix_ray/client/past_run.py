"""A run that is over, as a snapshot: counted by the database instead of by its actors."""

from __future__ import annotations

import os
import time
from pathlib import Path

from helix_ray.environment.run_file import RunFile
from helix_ray.environment.secrets import DATABASE_URL, Secret, load_secrets
from helix_ray.errors import StartError
from helix_ray.metrics.recent import RecentRead
from helix_ray.metrics.snapshot import Latency, MetricsSnapshot, Money, RunInfo, Totals
from helix_ray.records import JsonObject, RunStatus
from helix_ray.scoring.strata import DIMENSIONS
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.embedded import embedded_url
from helix_ray.storage.ledger import Ledger, RecentRow, StoredRun

DEADLINE_S = 30.0  # a million reads are counted in about ten
RECENT = 50


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
    run = _run_info(stored)
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
        ),
        money=Money(spent_usd=float(counts.cost_usd), max_cost_usd=run.max_cost_usd),
        latency=Latency(*(counts.latency_ms.get(name) for name in ("p50", "p95", "p99"))),
        accuracy=scores.model.by("type"),
        ceiling=scores.ceiling.by("type"),
        strata={name: levels for name in sorted(DIMENSIONS) if name != "type" and (levels := scores.model.by(name))},
        read_sums=scores.reads,
        off_by=tuple(sorted(scores.off_by.items())),
        recent_reads=tuple(_recent(row) for row in reads),
        recent_alerts=tuple(_recent(row) for row in alerts),
    )


def _run_info(stored: StoredRun) -> RunInfo:
    config = stored.config
    return RunInfo(
        run_id=stored.run_id,
        name=stored.name,
        backend=stored.backend,
        simulated=stored.simulated,
        model=config["analyzer"]["model"],
        latency_scale=config["emulator"]["latency_scale"] if stored.simulated else 1.0,
        started_at=stored.started_at.timestamp(),
        config=stored.config_hash,
        reads_requested=config["source"]["count"],
        max_cost_usd=config["throttle"]["max_cost_usd"],
        status=stored.status.value,
    )


def _recent(row: RecentRow) -> RecentRead:
    return RecentRead(
        read_index=row.read_index,
        read_id=row.read_id,
        disposition=row.disposition,
        mutation_detected=row.mutation_detected,
        calls=row.calls,
        latency_ms=row.latency_ms,
        error_kind=row.error_kind,
        finished_at=row.finished_at.timestamp(),
    )
