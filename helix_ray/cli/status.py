"""``helix status``: the live run once, as a table or as JSON."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from typing import Annotated

import typer
from rich.console import Console

from helix_ray.client import attach


def status(as_json: Annotated[bool, typer.Option("--json", help="Print the whole snapshot as JSON.")] = False) -> None:
    """Shows the live run of this HELIX_HOME. Exit code 1 when there is none."""
    # Ray imports pyarrow, and with it numpy, at the first value that it reads: 0.1 s of CPU for data sets, which no snapshot holds.
    sys.modules.setdefault("pyarrow", None)  # type: ignore[arg-type]  # None: to this process it is not installed, as it may be
    with closing(attach()) as client:
        snapshot = client.snapshot(timeout_s=10.0)
    if as_json:
        from helix_ray.metrics.snapshot import as_json as snapshot_json  # noqa: PLC0415  (as the view below)

        typer.echo(json.dumps(snapshot_json(snapshot), indent=2))
    else:
        from helix_ray.cli.terminal import LiveView  # noqa: PLC0415  (without a live run there is nothing to show)

        Console().print(LiveView(snapshot))
