"""``helix runs``: the stored runs."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from helix_ray.session.database import list_runs


def runs() -> None:
    """Lists the stored runs, newest first: of the embedded database of this HELIX_HOME, then of DATABASE_URL."""
    console, found = Console(highlight=False, soft_wrap=True), list_runs()
    if not found:
        console.print("no run is stored here yet; `helix run` starts one")
        return
    table = Table("run", "name", "status", "backend", "reads", "cost", "started", box=None, padding=(0, 2, 0, 0))
    for column in table.columns:
        column.no_wrap = True
    for run in found:
        backend = f"{run.backend} (simulated)" if run.simulated and run.backend != "emulator" else run.backend
        started = f"{run.started_at:%Y-%m-%d %H:%M} UTC"
        table.add_row(run.run_id, run.name, run.status.value, backend, f"{run.rows:,}", f"${run.cost_usd:.4f}", started)
    console.print(table)
