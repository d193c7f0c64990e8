"""``helix doctor --probe``: which assumptions of the emulator hold against the real service, for at most ten paid requests."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.prompt import Confirm
from rich.table import Table

from helix_ray.backends.probe import MAX_COST_USD, MAX_REQUESTS, Probe
from helix_ray.environment.secrets import load_secrets, withdraw_from_environment
from helix_ray.errors import HelixError, MissingSecretError

MODEL = "openai/gpt-oss-20b"

Model = Annotated[str, typer.Option(help="Model to probe.")]
BaseUrl = Annotated[str | None, typer.Option(help="Another server of the same protocol to probe. Default: Groq.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before the probe spends.")]


class UnfinishedCheckError(HelixError):
    """The checks ended early, and requests had been sent by then."""


def probe(model: Model = MODEL, base_url: BaseUrl = None, yes: Yes = False) -> None:
    """Asks the real service a few small questions and prints which assumptions of the emulator held.

    It sends at most 10 paid requests and stops before their worst case could pass $0.01. It needs GROQ_API_KEY.

    Exit codes: 0 every assumption that was checked held · 1 one did not, or the checks ended early · 2 it could not start, nothing
    was sent.
    """
    secrets = load_secrets(os.environ, Path(".env"))
    withdraw_from_environment()
    if secrets.groq_api_key is None:
        raise MissingSecretError("GROQ_API_KEY is not set; set it in the environment or in .env")
    console = Console()
    target = base_url or "Groq"
    question = f"Send at most {MAX_REQUESTS} paid requests (at most ${MAX_COST_USD}) to {target}?"
    if not yes and not Confirm.ask(question, console=console, default=False):
        raise typer.Exit(2)
    service = Probe(secrets.groq_api_key, base_url, model)
    try:
        asyncio.run(service.run())
    except HelixError as error:
        if service.requests == 0:
            raise
        raise UnfinishedCheckError(f"the checks ended early: {error}") from error
    finally:
        if service.requests > 0:  # what was paid for is shown, whatever ended it
            _print(console, target, service)
    sys.exit(1 if any(check.held is False for check in service.checks) else 0)


def _print(console: Console, target: str, service: Probe) -> None:
    table = Table(title=f"Assumptions of the emulator, checked against {target}", title_justify="left")
    for name in ("assumption", "held", "seen"):
        table.add_column(name, overflow="fold")
    for check in service.checks:
        table.add_row(check.assumption, {True: "yes", False: "NO", None: "not seen"}[check.held], check.seen)
    console.print(table)
    requests = f"{service.requests} paid request{'' if service.requests == 1 else 's'}"
    console.print(f"{requests}, ${service.cost_usd:.6f} at most", highlight=False)
