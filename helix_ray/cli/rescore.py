"""``helix rescore``: a stored run scored again from its answers, without a request."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from helix_ray.actors.read_results import aligner_calls
from helix_ray.errors import ConfigError
from helix_ray.home import RunFile, helix_home
from helix_ray.preparation import find_stored
from helix_ray.results.report import NOTICE
from helix_ray.results.rescoring import Rescoring
from helix_ray.scoring.scores import RunScores
from helix_ray.scoring.summary import summarise
from helix_ray.secrets import Secret, load_secrets, withdraw_from_environment
from helix_ray.storage.ledger import StoredRun
from helix_ray.storage.postgres import PostgresLedger

PAGE = 2000
"""Reads that are asked of the database at once."""

NAMED = 10
"""Of the reads that differ."""


def rescore(
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN_ID", help="A stored run. Default: the last one of this HELIX_HOME.")
    ] = None,
) -> None:
    """Scores the stored answers of a run again, and the aligner beside them. Sends nothing, costs nothing, changes nothing.

    Exit code 1 when a read is stored with another score than this version gives it, for instance one of an earlier version.
    """
    home = helix_home()
    if run is None:
        last = RunFile.read_last(home)
        if last is None:
            raise ConfigError("--run", [f"no run is known in HELIX_HOME {home}; name one with --run"])
        run = last.run_id
    secrets = load_secrets(os.environ, Path(".env"))
    withdraw_from_environment()
    stored, url = find_stored(home, secrets, run, None, "--run")
    found = asyncio.run(_rescored(url, stored))
    console = Console(highlight=False, soft_wrap=True)
    if stored.simulated:
        console.print(NOTICE, style="bold yellow")
    if found.scores.reads["reads"]:
        console.print(accuracy_table(found.scores, simulated=stored.simulated, prompt=stored.config["analyzer"]["prompt"]))
    else:
        console.print("no truth is known: there is nothing to be right or wrong about")
    _print_differences(console, found)
    if found.differences:
        raise typer.Exit(1)


async def _rescored(url: Secret, stored: StoredRun) -> Rescoring:
    found = Rescoring(aligner_calls)
    ledger = await PostgresLedger.connect(url.reveal(), statement_timeout_s=60.0)
    console = Console(stderr=True)
    try:
        with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task("Reads", total=stored.rows)
            last = -1
            while results := await ledger.read_results(stored.run_id, last, PAGE):
                found.add(results)
                last = results[-1].read.read_index
                progress.advance(task, len(results))
    finally:
        await ledger.aclose()
    return found


def accuracy_table(scores: RunScores, *, simulated: bool, prompt: str) -> Table:
    """By type: truths on their side, calls on theirs, and the aligner's F1 on the same reads."""
    title = f"Stored answers to {prompt}, scored again" + (" [EMULATOR]" if simulated else "")
    model, ceiling = summarise(scores.model.by("type")), summarise(scores.ceiling.by("type"))
    nothing = summarise({})["ALL"]
    table = Table(title=title, title_justify="left", min_width=64)
    table.add_column("type")
    for name in ("truths found", "missed", "calls right", "wrong", "precision", "recall", "F1", "ceiling F1"):
        table.add_column(name, justify="right")
    for kind in [*sorted({*model, *ceiling} - {"ALL"}), "ALL"]:
        row = model.get(kind, nothing)
        shares = [row["precision"], row["recall"], row["f1"], ceiling.get(kind, nothing)["f1"]]
        table.add_row(
            kind,
            *(f"{row[key]:,}" for key in ("tp", "fn", "query_tp", "fp")),
            *("-" if share is None else f"{share:.3f}" for share in shares),
        )
    return table


def _print_differences(console: Console, found: Rescoring) -> None:
    if not found.differences:
        console.print(f"{found.reads:,} reads scored again: every score equals what is stored")
        return
    console.print(f"{len(found.differences):,} of {found.reads:,} reads are stored with another score:")
    for difference in found.differences[:NAMED]:
        console.print(f"  read {difference.read_index}: {difference.what}", markup=False)
    if len(found.differences) > NAMED:
        console.print(f"  and {len(found.differences) - NAMED:,} more")
