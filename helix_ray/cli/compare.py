"""``helix compare``: which of the stored runs is better, by how much, and for how much."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from helix_ray.cli.export import read_progress
from helix_ray.environment.secrets import Secret
from helix_ray.errors import ConfigError
from helix_ray.results import comparing
from helix_ray.results.comparing import Chosen, Comparison, word
from helix_ray.results.comparison_files import dollars, points, write
from helix_ray.results.export import new_folder
from helix_ray.session.database import find_runs
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.ledger import StoredRun

EXIT_WORSE = 6
MOST_LINES = 9  # of runs or pairs: the whole answer has at most 20 lines


class FailIf(StrEnum):
    WORSE = "worse"


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN RUN...", help="Stored runs, the baseline first: ids, beginnings of ids, names, or last.")
    ],
    baseline: Annotated[
        str | None, typer.Option(metavar="RUN", help="Which of them the others are compared with. Default: the first.")
    ] = None,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Each with each, and corrected for that many pairs.")] = False,
    margin: Annotated[float, typer.Option(help="The difference that would not matter, 0 to 1: equivalent lies within it.")] = 0.01,
    common: Annotated[bool, typer.Option("--common", help="Leave out reads that are not the same in all runs, and say how many.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Compare runs that answer different questions, under a banner.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "--output", metavar="DIR", help="Also write tables, figures and a page here.")
    ] = None,
    fail_if: Annotated[
        FailIf | None, typer.Option(help="worse: exit code 6 unless every run is shown to be no worse than the margin allows.")
    ] = None,
) -> None:
    """Compares stored runs on the same reads: which is better, by how much, for how much. Sends nothing, costs nothing.

    Reads are paired by their index and checksum; a read without an answer is wrong. Each run is better than the baseline, worse,
    equivalent within the margin, or undecided. docs/compare.md says by which tests.

    Exit codes: 0 compared · 2 the runs do not have the same reads or the same question · 6 with --fail-if worse.
    """
    if not 0 < margin < 1:
        raise ConfigError("--margin", [f"{margin:g} is not between 0 and 1; 0.01 is one read in a hundred"])
    named = [*dict.fromkeys([*([] if baseline is None else [baseline]), *runs])]
    if len(named) < 2:
        raise ConfigError("helix compare", ["name two runs or more; `helix runs` lists those that there are"])
    stored = find_runs(named, "helix compare")
    objections = comparing.check([run for run, _ in stored], force=force)
    console = Console(highlight=False, soft_wrap=True)
    with nullcontext() if out is None else new_folder(out, force=False) as folder:  # what may not be written is known before the work
        chosen = loaded(stored)
        found = comparing.compare(chosen, margin=margin, common=common, all_pairs=all_pairs, objections=objections)
        if folder is not None:
            write(found, folder)
    _print(console, found)
    if out is not None:
        console.print(f"Written to {out}: compare.html, compare.json, methods.md, tables and figures.", markup=False)
    if fail_if is FailIf.WORSE and comparing.is_worse(found):
        raise typer.Exit(EXIT_WORSE)


def loaded(stored: Sequence[tuple[StoredRun, Secret]]) -> list[Chosen]:
    with read_progress(sum(run.rows for run, _ in stored)) as advance:
        return [with_ledger(url, lambda ledger, run=run: comparing.load(ledger, run, advance), timeout_s=600.0) for run, url in stored]  # type: ignore[misc]


def _print(console: Console, found: Comparison) -> None:
    for warning in found["warnings"][:3]:
        console.print(warning, style="bold yellow", markup=False)
    console.print(_runs(found))
    if found["all_pairs"]:
        console.print(_pairs(found))
    best, rest = _cheapest(found), len(found["warnings"]) - 3
    console.print(
        f"Not beaten in both exactness and price: {best}.{f' {rest} more warnings in compare.json.' if rest > 0 else ''}", markup=False
    )


def _runs(found: Comparison) -> Table:
    """A row a run; where each is compared with each, without the baseline's column."""
    table = Table(
        Column("run", min_width=8), box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left", caption_justify="left"
    )
    for name in ("exact %", "F1", "$/1,000", "$/1,000 found"):
        table.add_column(name, justify="right", min_width=6)
    alone = not found["all_pairs"]
    for name in ("difference, points [95 %]", "p (Holm)", "verdict") if alone else ():
        table.add_column(name, min_width=8)
    beside = {pair["second"]: pair for pair in found["pairs"]} if alone else {}
    for place, (run, standing) in enumerate(zip(found["runs"], found["standings"], strict=True)):
        if place >= MOST_LINES:
            break
        price, each = standing["costs"]["usd_per_1000_reads"], standing["costs"]["usd_per_variant_found"]
        f1 = "–" if standing["f1"] is None else f"{standing['f1']:.3f}"
        cells = [f"{100 * standing['exact']:.1f}", f1, dollars(price), dollars(None if each is None else 1000 * each)]
        if (pair := beside.get(place)) is not None:
            cells += [points(pair["exact"]), f"{pair['exact']['p_adjusted']:.2g}", word(pair, pair["exact"])]
        elif alone:
            cells += ["", "", "baseline"]
        table.add_row(f"{run['run_name']} {run['run_id'][:8]}", *cells)
    left = max(row["dropped"] for row in found["left_out"])
    table.title = (
        f"{found['reads']:,} reads in all runs{f', up to {left:,} left out' if left else ''}; margin {100 * found['margin']:g} points"
    )
    return table


def _pairs(found: Comparison) -> Table:
    table = Table(Column("pair", no_wrap=True), "difference, points [95 %]", "p (Holm)", "verdict", box=SIMPLE_HEAD, pad_edge=False)
    names = [run["run_name"] for run in found["runs"]]
    for pair in sorted(found["pairs"], key=lambda pair: pair["exact"]["p_adjusted"])[: max(1, 12 - len(names))]:
        it = pair["exact"]
        table.add_row(f"{names[pair['second']]} v {names[pair['first']]}", points(it), f"{it['p_adjusted']:.2g}", word(pair, it))
    return table


def _cheapest(found: Comparison) -> str:
    rows = zip(found["runs"], found["standings"], strict=True)
    return ", ".join(run["run_name"] for run, standing in rows if standing["costs"]["on_front"])
