"""The command line: one command a file. ``helix run`` and ``python -m helix_ray.run`` are the same command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from helix_ray import __version__
from helix_ray.cli import configs, control, db, doctor, emulator, export, monitor, rescore, run, runs, status
from helix_ray.errors import HelixError

app = typer.Typer(
    name="helix",
    help="DNA reads through a rate-limited, paid LLM API: exactly once, within budget, with every call scored against the truth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("emulator")(emulator.emulator)
app.command("export")(export.export)
app.command("monitor")(monitor.monitor)
app.command("runs")(runs.runs)
app.command("rescore")(rescore.rescore)
app.command("status")(status.status)
app.command("doctor")(doctor.doctor)
app.command("live-check", hidden=True)(doctor.probe)  # the former name of doctor --probe
app.add_typer(configs.app, name="configs")
app.add_typer(control.app, name="control")
app.add_typer(db.app, name="db")


def _print_versions(wanted: bool) -> None:
    if wanted:
        from helix_ray.native import rust  # noqa: PLC0415  (only this option needs them)
        from helix_ray.scoring.score import SCORER_VERSION  # noqa: PLC0415
        from helix_ray.storage.postgres import latest_version  # noqa: PLC0415

        typer.echo(f"helix-throttle {__version__}, generator {rust.GENERATOR_VERSION}, scorer {SCORER_VERSION}, schema {latest_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_versions, is_eager=True, help="Print the versions that define results, and end.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command; an error of ours becomes one message and its exit code."""
    guarded(app)


def guarded(command: typer.Typer) -> None:
    try:
        command()
    except HelixError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"helix: {error}", markup=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        Console(stderr=True).print("helix: interrupted")
        sys.exit(130)
