"""The command line: one command a file. ``helix run`` and ``python -m helix_ray.run`` are the same command.

A command's file is imported when the command is called: what all of them need takes a second of CPU to import. Such a file in turn
imports at its top only what its ``--help`` needs, where the command itself is to be cheap.
"""

from __future__ import annotations

import errno
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.main import get_group

from helix_ray import __version__
from helix_ray.environment.home import belongs_to
from helix_ray.errors import HelixError
from helix_ray.session.signals import interrupt_on_signals

COMMANDS: Final = {
    "run": "Runs DNA reads through the model and stores every result once.",
    "emulator": "A local stand-in for Groq's API: published limits, errors, prices, latencies.",
    "export": "Writes truth, reads, windows and a run's results as files for other tools.",
    "logs": "Prints the log of a run: starts, deaths, outages, cooldowns, dead letters, commands, endings, errors with their tracebacks.",
    "monitor": "Serves the live page. Watching needs nothing; commands need the code that is printed here, or HELIX_CONTROL_TOKEN.",
    "runs": "Lists the stored runs, newest first: of the embedded database of this HELIX_HOME, then of DATABASE_URL. Or deletes some.",
    "dead-letters": "The reads of a run that ended without an answer: list them, show one with its requests, or send them again.",
    "compare": "Compares stored runs on the same reads: which is better, by how much, for how much. Sends nothing, costs nothing.",
    "rescore": "Scores the stored answers of a run again, and the aligner beside them. Sends nothing, costs nothing, changes nothing.",
    "status": "Shows the live run of this HELIX_HOME. Exit code 1 when there is none.",
    "doctor": "Checks configuration, key, model, price, database, input files and Ray. Sends no completion, so it costs nothing.",
    "live-check": "",  # hidden
    "configs": "The shipped configurations: list them, print one, or copy one to begin your own.",
    "control": "Commands to the live run of this HELIX_HOME. All are recorded; repeating one changes nothing.",
    "db": "The database of this HELIX_HOME, or of DATABASE_URL: its address, a shell in it, and copies of it.",
}
"""In the order of ``helix --help``, with its line there: the first of the command's own help. The command ``a-b`` is the function
``a_b`` of ``a_b.py``, or its ``app`` when it has commands of its own."""

ELSEWHERE: Final = {"live-check": ("doctor", "probe")}  # the former name of doctor --probe


class LazyGroup(TyperGroup):
    """Has a placeholder for each command until it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)  # ends with a usage error when there is no such command
        return name, name and load(name), rest


def load(name: str) -> Any:
    """The command as typer makes it."""
    module_name, function = ELSEWHERE.get(name, (name.replace("-", "_"),) * 2)
    module, group = import_module(f"{__name__}.{module_name}"), typer.Typer()
    if hasattr(module, "app"):
        group.add_typer(module.app, name=name)
    else:
        group.command(name)(getattr(module, function))
    return get_group(group).commands[name]


OF_THE_MACHINE: Final = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What a traceback would not explain better than one line."""

app = typer.Typer(
    name="helix",
    cls=LazyGroup,
    help="DNA reads through a rate-limited, paid LLM API: exactly once, within budget, with every call scored against the truth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _name, _help in COMMANDS.items():
    app.command(_name, help=_help, hidden=not _help)(lambda: None)


def _print_versions(wanted: bool) -> None:
    if wanted:
        from helix_ray.native import rust  # noqa: PLC0415  (only this option needs them)
        from helix_ray.scoring.score import SCORER_VERSION  # noqa: PLC0415
        from helix_ray.storage.statements import migrations  # noqa: PLC0415

        schema = migrations()[-1].version
        typer.echo(f"helix-throttle {__version__}, generator {rust.GENERATOR_VERSION}, scorer {SCORER_VERSION}, schema {schema}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_versions, is_eager=True, help="Print the versions that define results, and end.")
    ] = False,
) -> None:
    pass


def main() -> None:
    guarded(app)


def guarded(command: typer.Typer) -> None:
    """Runs the command; an error of ours becomes one message and its exit code. Any signal that asks it to end is exit 130."""
    interrupt_on_signals()
    try:
        command()
    except (HelixError, OSError) as error:
        said = str(error)
        if isinstance(error, OSError):
            if error.errno not in OF_THE_MACHINE:
                raise
            said = f"the output cannot be written: {error.strerror}"
            if error.filename is not None:
                said = f"{error.filename} cannot be used: {error.strerror}{belongs_to(Path(str(error.filename)))}"
        with suppress(OSError, ValueError):  # the exit code is worth more than the words
            Console(stderr=True, highlight=False, soft_wrap=True).print(f"helix: {said}", markup=False)
        sys.exit(getattr(error, "exit_code", 1))
    except KeyboardInterrupt:
        sys.exit(130)
