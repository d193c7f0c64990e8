"""``helix runs``: the stored runs, and the end of those that are not kept."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from helix_ray.environment.home import helix_home
from helix_ray.environment.secrets import Secret
from helix_ray.errors import ConfigError
from helix_ray.records import RunStatus
from helix_ray.session.database import find_runs, list_runs
from helix_ray.session.preparation import INPUT
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.ledger import RunSummary, StoredRun
from helix_ray.storage.postgres import PostgresLedger

DELETION_DEADLINE_S = 6 * 3600.0  # of one run

app = typer.Typer(invoke_without_command=True)

HEAD = ("run", "name", "status", "backend", "reads", "cost", "started (UTC)", "resumable")


@app.callback()
def runs(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each run, one a line.")] = False,
) -> None:
    """Lists the stored runs, newest first: of the embedded database of this HELIX_HOME, then of DATABASE_URL. Or deletes some."""
    if context.invoked_subcommand is None:
        print_runs(as_json=as_json)


def print_runs(*, as_json: bool = False) -> None:
    found = list_runs()
    if as_json:
        for run in found:
            values = {name: getattr(run, name) for name in ("run_id", "name", "status", "backend", "simulated", "rows")}
            typer.echo(json.dumps({
                **values, "cost_usd": float(run.cost_usd), "started_at": run.started_at.isoformat(), "resumable": _resumable(run)
            }))  # fmt: skip
        return
    lines = [HEAD, *map(_line, found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:  # not cut to the terminal's width, so that an id can be copied
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@app.command("delete")
def delete(
    named: Annotated[list[str] | None, typer.Argument(metavar="RUN...", help="Ids, beginnings of ids, or names.")] = None,
    older_than: Annotated[
        int | None, typer.Option("--older-than", metavar="DAYS", min=0, help="Also every run that began so many days ago, or earlier.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted, and end.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also runs whose requests of the last 24 hours count for a daily limit.")] = False,
) -> None:
    """Deletes stored runs with all their rows. Reports and exported files stay. A run that is being written is refused."""
    if not named and older_than is None:
        raise ConfigError("helix runs delete", ["name a run, or give --older-than DAYS; `helix runs` lists the runs"])
    before = None if older_than is None else datetime.now(UTC) - timedelta(days=older_than)
    found = find_runs(named or [], "helix runs delete", before)
    if recent := [run.run_id for run, url in found if not force and with_ledger(url, partial(_counts, run.run_id))]:
        problem = "requests of the last 24 hours count for the provider's daily limits, and would be forgotten; wait, or pass --force"
        raise ConfigError("helix runs delete", [f"{', '.join(recent)}: {problem}"])
    for run, _ in found:
        state = "can be resumed" if run.status is not RunStatus.COMPLETE else "complete"
        typer.echo(f"{run.run_id}  {run.name}, {run.started_at:%Y-%m-%d %H:%M} UTC, {state}: {run.rows:,} reads, ${run.cost_usd:.4f}")
    if not found or dry_run:
        typer.echo("Nothing was deleted.")
        return
    if not yes:
        typer.confirm(f"Delete {len(found)} run{'s' if len(found) > 1 else ''} for good?", abort=True)
    for run, url in found:
        _delete(run, url)


def _counts(run_id: str, ledger: PostgresLedger) -> Awaitable[bool]:
    return ledger.counts_for_limits(run_id)


def _delete(run: StoredRun, url: Secret) -> None:
    path = str(run.config.get("source", {}).get("path") or "")

    async def work(ledger: PostgresLedger) -> tuple[dict[str, int], int]:
        return await ledger.delete_run(run.run_id), await ledger.runs_of_input(path)

    rows, readers = with_ledger(url, work, DELETION_DEADLINE_S)
    if readers == 0 and Path(path).parent == helix_home() / INPUT:  # a copy of standard input, which no other run needs
        with suppress(FileNotFoundError):
            Path(path).unlink()
    counts = ", ".join(f"{rows[name]:,} {name}" for name in ("reads", "variants", "requests"))
    typer.echo(f"deleted {run.run_id}: {counts}")


def _line(run: RunSummary) -> tuple[str, ...]:
    backend = f"{run.backend} (simulated)" if run.simulated and run.backend != "emulator" else run.backend
    return (
        run.run_id, run.name, run.status.value, backend, f"{run.rows:,}", f"${run.cost_usd:.4f}", f"{run.started_at:%Y-%m-%d %H:%M}",
        "yes" if _resumable(run) else "no",
    )  # fmt: skip


def _resumable(run: RunSummary) -> bool:
    """Whether `--resume` has something to do; a run that is live counts, since it may die."""
    return run.status is not RunStatus.COMPLETE
