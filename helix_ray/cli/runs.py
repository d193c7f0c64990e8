"""``helix runs``: the stored runs."""

from __future__ import annotations

import typer

from helix_ray.session.database import list_runs
from helix_ray.storage.ledger import RunSummary

HEAD = ("run", "name", "status", "backend", "reads", "cost", "started (UTC)")


def runs() -> None:
    """Lists the stored runs, newest first: of the embedded database of this HELIX_HOME, then of DATABASE_URL."""
    lines = [HEAD, *map(_line, list_runs())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:  # not cut to the terminal's width, so that an id can be copied
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _line(run: RunSummary) -> tuple[str, ...]:
    backend = f"{run.backend} (simulated)" if run.simulated and run.backend != "emulator" else run.backend
    return (
        run.run_id, run.name, run.status.value, backend, f"{run.rows:,}", f"${run.cost_usd:.4f}", f"{run.started_at:%Y-%m-%d %H:%M}",
    )  # fmt: skip
