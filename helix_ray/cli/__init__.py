"""The command line: one command a file. ``helix run`` and ``python -m helix_ray.run`` are the same command."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from helix_ray.cli import control, db, doctor, emulator, export, monitor, probe, rescore, run, status
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
app.command("rescore")(rescore.rescore)
app.command("status")(status.status)
app.command("doctor")(doctor.doctor)
app.command("live-check", hidden=True)(probe.probe)  # the former name of doctor --probe
app.add_typer(control.app, name="control")
app.add_typer(db.app, name="db")


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
