"""``helix dead-letters``: reads that ended without an answer, and another try for them."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from helix_ray.errors import ConfigError
from helix_ray.records import ReadResult
from helix_ray.records.calls import ApiCall
from helix_ray.session.database import find_run
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.ledger import DeadLetter
from helix_ray.storage.postgres import PostgresLedger

COMMAND = "helix dead-letters"
MOST = 10_000_000

app = typer.Typer(
    help="The reads of a run that ended without an answer: list them, show one with its requests, or send them again.", no_args_is_help=True
)

OfRun = Annotated[str | None, typer.Option("--run", help="The run: its id, a beginning of it, or its name. Default: the last one.")]


@app.command("list")
def list_(
    run: OfRun = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="At most so many, the last finished first.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each, one a line.")] = False,
) -> None:
    """Lists the dead letters of a run, the last finished first."""
    stored, url = find_run(run)
    found = with_ledger(url, lambda ledger: ledger.dead_letters(stored.run_id, limit))
    for letter in found:
        typer.echo(json.dumps(letter._asdict(), default=str) if as_json else _line(letter))
    if not found and not as_json:
        typer.echo(f"run {stored.run_id} ({stored.name}) has no dead letters")


@app.command("show")
def show(
    read: Annotated[str, typer.Argument(help="The read's index, or its id.")],
    run: OfRun = None,
) -> None:
    """Shows one dead letter: why it failed, its sequences, and every request about it."""
    stored, url = find_run(run)

    async def look(ledger: PostgresLedger) -> tuple[ReadResult, list[ApiCall]] | None:
        index = await ledger.find_read(stored.run_id, read)
        found = [] if index is None else await ledger.read_results(stored.run_id, index - 1, 1)
        return (found[0], await ledger.calls_of_read(stored.run_id, found[0].read.read_index, 100)) if found else None

    found = with_ledger(url, look)
    if found is None or found[0].error_kind is None:
        raise ConfigError(f"{COMMAND} show", [f"run {stored.run_id} has no dead letter {read!r}; `{COMMAND} list` shows those it has"])
    result, calls = found
    typer.echo(f"read {result.read.read_index}, {result.read.read_id}: {result.error_kind}: {result.error}")
    typer.echo(f"window {result.read.ref_seq}\nread   {result.read.seq}")
    for call in calls:
        ending = " ".join(str(part) for part in (call.state, call.status, call.error_kind, call.error) if part)
        typer.echo(f"request {call.call_id}: {ending}, ${call.cost_usd:.6f}")


@app.command("redrive")
def redrive(
    reads: Annotated[list[int] | None, typer.Argument(metavar="INDEX...", help="Indices of reads.")] = None,
    run: OfRun = None,
    kind: Annotated[str | None, typer.Option("--kind", help="All that failed for this reason, as `list` names it.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All dead letters of the run.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Lets a resumed run ask for these reads again, under its budget. Their rows move to helix.redriven; their requests stay booked."""
    if (reads is not None) + (kind is not None) + every != 1:
        raise ConfigError(f"{COMMAND} redrive", ["name indices of reads, or one of --kind KIND and --all"])
    stored, url = find_run(run)
    letters = with_ledger(url, lambda ledger: ledger.dead_letters(stored.run_id, MOST))
    wanted = [it.read_index for it in letters if every or it.error_kind == kind or (reads is not None and it.read_index in reads)]
    if missing := sorted({*(reads or ())} - {*wanted}):
        raise ConfigError(f"{COMMAND} redrive", [f"run {stored.run_id} has no dead letter with index {', '.join(map(str, missing))}"])
    if not wanted:
        typer.echo("Nothing was changed: there is no such dead letter.")
        return
    if not yes:
        typer.confirm(f"Send {len(wanted):,} reads of run {stored.run_id} ({stored.name}) again when it is resumed?", abort=True)
    moved = with_ledger(url, lambda ledger: ledger.redrive(stored.run_id, wanted))
    typer.echo(f"{moved:,} reads will be sent again by: helix run --resume {stored.run_id}")


def _line(letter: DeadLetter) -> str:
    why = f"{letter.error_kind}: {letter.error}" if letter.error else str(letter.error_kind)
    return f"{letter.read_index}  {letter.read_id}  {letter.finished_at:%Y-%m-%d %H:%M:%S} UTC, {letter.attempts} attempts, {why}"
