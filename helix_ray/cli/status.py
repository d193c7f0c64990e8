"""``helix status``: the live run once, as a table or as JSON."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from helix_ray.cli.live_view import render
from helix_ray.client import attach
from helix_ray.metrics import snapshot as snapshots


def status(as_json: Annotated[bool, typer.Option("--json", help="Print the whole snapshot as JSON.")] = False) -> None:
    """Shows the live run of this HELIX_HOME. Exit code 1 when there is none."""
    client = attach()
    try:
        snapshot = client.snapshot(timeout_s=10.0)
    finally:
        client.close()
    if as_json:
        typer.echo(json.dumps(snapshots.as_json(snapshot), indent=2))
    else:
        Console().print(render(snapshot))
