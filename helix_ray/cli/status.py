"""``helix status``: the live run, once or until it ends, as a table or as JSON."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from helix_ray.cli.cluster import RunOnCluster
from helix_ray.client import HelixClient, attach
from helix_ray.errors import AttachError
from helix_ray.results.files import report_path

if TYPE_CHECKING:
    from helix_ray.metrics.snapshot import MetricsSnapshot

INTERVAL_S = 1.0


def status(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A stored run instead: its id, a beginning of it, its name, or last.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole snapshot as JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again each second, until the run ends or Ctrl-C.")] = False,
    address: RunOnCluster = None,
) -> None:
    """Shows the live run of this HELIX_HOME. Exit code 1 when there is none."""
    if run is not None:
        _show(_stored(run), as_json)
        return
    # Ray imports pyarrow, and with it numpy, at the first value that it reads: 0.1 s of CPU for data sets, which no snapshot holds.
    sys.modules.setdefault("pyarrow", None)  # type: ignore[arg-type]  # None: to this process it is not installed, as it may be
    with closing(attach()) as client:
        snapshot = client.snapshot(timeout_s=10.0)
        if watch:
            _watch(client, snapshot, as_json)
        else:
            _show(snapshot, as_json)


def _show(snapshot: MetricsSnapshot, as_json: bool) -> None:
    if as_json:
        typer.echo(_json(snapshot, 2))
    else:
        from helix_ray.cli.terminal import LiveView  # noqa: PLC0415  (without a run there is nothing to show)

        Console().print(LiveView(snapshot))


def _stored(run: str) -> MetricsSnapshot:
    """As the database knows it, also while it is live."""
    from helix_ray.client.past_run import DEADLINE_S, snapshot_from  # noqa: PLC0415  (the live run needs no database)
    from helix_ray.session.database import find_run  # noqa: PLC0415
    from helix_ray.storage.blocking import with_ledger  # noqa: PLC0415

    stored, url = find_run(run, "helix status")
    snapshot = with_ledger(url, lambda ledger: snapshot_from(ledger, stored.run_id), DEADLINE_S)
    assert snapshot is not None
    return snapshot


def _watch(client: HelixClient, snapshot: MetricsSnapshot, as_json: bool) -> None:
    """On a terminal in place; else a line a second."""
    from helix_ray.cli.terminal import Frames, LiveView, plain_line  # noqa: PLC0415  (as above)
    from helix_ray.metrics.state import standing  # noqa: PLC0415

    console, got_at = Console(), time.monotonic()
    frames = Frames(console)
    try:
        while True:
            began = time.monotonic()
            stands = standing(snapshot, began - got_at, client.is_live())
            if as_json or not console.is_terminal:
                typer.echo(_json(snapshot) if as_json else f"{plain_line(snapshot)}{f' ({stands.reason})' if stands.stale else ''}")
            else:
                frames.draw(LiveView(snapshot, fit=True, stands=stands))
            if stands.has_ended:
                break
            time.sleep(max(0.0, INTERVAL_S - (time.monotonic() - began)))
            try:
                snapshot, got_at = client.snapshot(), time.monotonic()
            except AttachError:
                continue  # what there is gets old, and says so
    except KeyboardInterrupt:
        return
    finally:
        frames.stop()
    typer.echo(_ending(client.home, snapshot.run.run_id) or f"{stands.state}: {stands.reason}", err=as_json)


def _ending(home: Path, run_id: str) -> str | None:
    """As the report has it, which is written before a driver leaves."""
    try:
        report = json.loads(report_path(home, run_id).read_text(encoding="utf-8"))
        return f"{report['status'].upper()}: {report['reason']}"
    except (OSError, ValueError, KeyError):
        return None


def _json(snapshot: MetricsSnapshot, indent: int | None = None) -> str:
    from helix_ray.metrics.snapshot import as_json  # noqa: PLC0415  (as the view)

    return json.dumps(as_json(snapshot), indent=indent)
