"""``helix logs``: what the processes of a run logged, merged by time."""

from __future__ import annotations

import time
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from helix_ray.cli.cluster import RunOnCluster
from helix_ray.client import attach
from helix_ray.environment.home import helix_home
from helix_ray.environment.logs import LogReader, actors_of, find_log, for_people, last_driver, local_time, shown
from helix_ray.environment.run_file import RunFile
from helix_ray.errors import ConfigError
from helix_ray.metrics.snapshot import parts_by_node

POLL_S = 0.3


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def logs(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Its id, a beginning of it, its name, or last (the default).")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="After what there is, go on with what comes, until the run ends.")] = False,
    actor: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this one: driver, queue, throttle, sink, analyzer, analyzer-0, ...")
    ] = None,
    tracebacks: Annotated[bool, typer.Option("--tracebacks", help="Print tracebacks in full, not only the error.")] = False,
    level: Annotated[
        Level, typer.Option(help="Only lines of this level and above; debug lines are there if the run had --log-level debug.")
    ] = Level.INFO,
    address: RunOnCluster = None,
) -> None:
    """Prints the log of a run: starts, deaths, outages, cooldowns, dead letters, commands, endings, errors with their tracebacks.

    The lines themselves are JSON, in HELIX_HOME/logs/RUN_ID/; docs/operations.md lists the events.
    On a cluster they lie on several nodes: with --address, this says where.
    """
    if address is not None:
        _say_where()
        return
    folder = _folder(run)
    if actor is not None and actor not in (names := actors_of(folder)):
        known = ", ".join(sorted(name for name in names if not name.startswith("helix-")))
        raise ConfigError("--actor", [f"{actor} has no log in run {folder.name}; those that have: {known}"])
    reader, day = LogReader(folder), ""
    while True:
        live = RunFile.read(helix_home())
        goes_on = follow and live is not None and live.run_id == folder.name and live.is_live()
        for line in reader.new_lines():
            if shown(line, actor, level.value):
                if (today := f"{local_time(line):%Y-%m-%d, %Z}") != day:
                    day = today
                    typer.echo(f"run {folder.name}, {day}")
                typer.echo(for_people(line, tracebacks))
        if not goes_on:
            break
        time.sleep(POLL_S)
    if (last := last_driver(folder)) is not None:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"helix: the driver (incarnation {last['incarnation']}) ended without a word at about {last['until']}: "
            f"it was killed, or it crashed; `helix run --resume {folder.name}` goes on with the run",
            markup=False,
        )


def _say_where() -> None:
    with closing(attach()) as client:
        snapshot = client.snapshot(timeout_s=10.0)
    run = snapshot.run
    for node, parts in parts_by_node(snapshot).items():
        folder = run.logs if node == run.driver_node else run.logs_elsewhere
        typer.echo(f"{node}: {', '.join(parts)} in {folder}")


def _folder(run: str | None) -> Path:
    """By the names of the folders, and only where none fits by the database, which knows the names of runs."""
    try:
        return find_log(helix_home(), run)
    except ConfigError:
        from helix_ray.session.database import find_run  # noqa: PLC0415  (the log is there without any database)

        try:
            stored, _ = find_run(run, "helix logs")
        except ConfigError:
            stored = None
        if stored is None or stored.run_id == run:
            raise
    return find_log(helix_home(), stored.run_id)
