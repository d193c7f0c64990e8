"""``helix runs``: the stored runs."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from helix_ray.records import RunStatus
from helix_ray.session.database import list_runs
from helix_ray.storage.ledger import RunSummary

HEAD = ("run", "name", "status", "backend", "reads", "cost", "started (UTC)", "resumable")


def runs(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each run, one a line.")] = False) -> None:
    """Lists the stored runs, newest first: of the embedded database of this HELIX_HOME, then of DATABASE_URL."""
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


def _line(run: RunSummary) -> tuple[str, ...]:
    backend = f"{run.backend} (simulated)" if run.simulated and run.backend != "emulator" else run.backend
    return (
        run.run_id, run.name, run.status.value, backend, f"{run.rows:,}", f"${run.cost_usd:.4f}", f"{run.started_at:%Y-%m-%d %H:%M}",
        "yes" if _resumable(run) else "no",
    )  # fmt: skip


def _resumable(run: RunSummary) -> bool:
    """Whether `--resume` has something to do; a run that is live counts, since it may die."""
    return run.status is not RunStatus.COMPLETE
