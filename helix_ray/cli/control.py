"""``helix control``: commands to the live run, each with its answer."""

from __future__ import annotations

import getpass
import time
from contextlib import closing
from typing import Annotated

import typer

from helix_ray.cli.cluster import RunOnCluster
from helix_ray.client import attach, command
from helix_ray.errors import HelixError
from helix_ray.records import Action

app = typer.Typer(no_args_is_help=True)

Reason = Annotated[str | None, typer.Option(help="Why; kept with the command in the database.")]


@app.callback()
def control(address: RunOnCluster = None) -> None:
    """Commands to the live run of this HELIX_HOME. All are recorded; repeating one changes nothing."""


@app.command()
def pause(reason: Reason = None) -> None:
    """No new read is sent; what is in flight is finished and stored."""
    _send(Action.PAUSE, reason=reason)


@app.command()
def resume(reason: Reason = None) -> None:
    """Goes on after a pause."""
    _send(Action.RESUME, reason=reason)


@app.command()
def rate(
    reads_per_s: Annotated[float | None, typer.Argument(metavar="[READS_PER_S]", help="0.001 to 10 million; none: as configured.")] = None,
    reason: Reason = None,
) -> None:
    """Sets the rate of the whole source."""
    _send(Action.RATE, reads_per_s, reason=reason)


@app.command()
def spike(
    reads_per_s: Annotated[float | None, typer.Option("--rate", help="Reads per second; none: as fast as the source can.")] = None,
    seconds: Annotated[float, typer.Option(help="How long, at most 300.")] = 30.0,
    reason: Reason = None,
) -> None:
    """Lifts the source's rate for a while. It adds no reads and never passes the cost cap."""
    _send(Action.SPIKE, reads_per_s, seconds, reason)


@app.command()
def budget(
    usd: Annotated[
        float | None, typer.Argument(metavar="[USD]", help="US dollars for the whole run with all its resumes; none: as configured.")
    ] = None,
    reason: Reason = None,
) -> None:
    """Sets the cost cap of the live run. A cap below what is spent ends the run in order (exit 3); a resume has the configured one."""
    _send(Action.BUDGET, usd, reason=reason)


@app.command()
def concurrency(
    requests: Annotated[
        int | None, typer.Argument(metavar="[REQUESTS]", help="1 to 1024 requests in flight of each analyzer; none: as configured.")
    ] = None,
    reason: Reason = None,
) -> None:
    """Sets how many requests each analyzer keeps in flight. Requests that are in flight are finished."""
    _send(Action.CONCURRENCY, requests, reason=reason)


@app.command()
def drain(reason: Reason = None) -> None:
    """Ends the run in order: what is in flight is finished and stored; the rest can be resumed."""
    _send(Action.DRAIN, reason=reason)


@app.command()
def stop(reason: Reason = None) -> None:
    """Ends the run within seconds; what was not stored can be resumed."""
    _send(Action.STOP, reason=reason)


class RefusedCommandError(HelixError):
    """The run did not do what it was asked."""


def _send(action: Action, value: float | None = None, seconds: float | None = None, reason: str | None = None) -> None:
    with closing(attach()) as client:
        began = time.monotonic()
        typer.echo(f"{action.value}: requested")
        ack = client.send(command(action, value, seconds, actor=f"cli:{_user()}", reason=reason))
    if not ack.accepted:
        raise RefusedCommandError(f"{action.value} was refused: {ack.message}")
    typer.echo(f"{action.value}: acknowledged in {time.monotonic() - began:.1f} s (version {ack.version}): {ack.message}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"  # a container's user id without a name
