"""``helix rescore``: scores the stored answers of a run again."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from helix_ray.cli.export import read_progress
from helix_ray.config.schema import prompt_name
from helix_ray.results.accuracy import accuracy, all_differences, ceiling
from helix_ray.results.formatting import NOTICE
from helix_ray.results.rescoring import Rescoring
from helix_ray.results.table import accuracy_table
from helix_ray.session.database import find_run
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.ledger import Ledger, StoredRun

PAGE = 2000  # reads that are asked of the database at once
NAMED = 10  # of the reads that differ


def rescore(
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="A stored run: its id, a beginning of it, its name, or last, the default.")
    ] = None,
) -> None:
    """Scores the stored answers of a run again, and the aligner beside them. Sends nothing, costs nothing, changes nothing.

    Exit code 1 when a read is stored with another score than this version gives it, for instance one of an earlier version.
    """
    stored, url = find_run(run)
    found = with_ledger(url, lambda ledger: _rescored(ledger, stored), timeout_s=60.0)
    console = Console(highlight=False, soft_wrap=True)
    if stored.simulated:
        console.print(NOTICE, style="bold yellow")
    if found.scores.reads.reads:
        title = f"Stored answers to {prompt_name(stored.config['analyzer']['prompt'])}, scored again"
        if every := all_differences(found.scores):
            console.print(accuracy_table(f"{title}: all differences", every, None, simulated=stored.simulated))
        console.print(accuracy_table(title, accuracy(found.scores), ceiling(found.scores), simulated=stored.simulated))
    else:
        console.print("no truth is known: there is nothing to be right or wrong about")
    _print_differences(console, found)
    if found.differences:
        raise typer.Exit(1)


async def _rescored(ledger: Ledger, stored: StoredRun) -> Rescoring:
    found, last = Rescoring(packed=stored.config["analyzer"].get("reads_per_request", 1) > 1), -1
    with read_progress(stored.rows) as advance:
        while results := await ledger.read_results(stored.run_id, last, PAGE):
            found.add(results)
            last = results[-1].read.read_index
            advance(len(results))
    return found


def _print_differences(console: Console, found: Rescoring) -> None:
    if not found.differences:
        console.print(f"{found.reads:,} reads scored again: every score equals what is stored")
        return
    console.print(f"{len(found.differences):,} of {found.reads:,} reads are stored with another score:")
    for difference in found.differences[:NAMED]:
        console.print(f"  read {difference.read_index}: {difference.what}", markup=False)
    if len(found.differences) > NAMED:
        console.print(f"  and {len(found.differences) - NAMED:,} more")
