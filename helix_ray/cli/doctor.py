"""``helix doctor``: everything a run needs, checked without sending one completion.

``--probe``: which assumptions of the emulator hold against the real service, for at most ten paid requests.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.prompt import Confirm
from rich.table import Column, Table

from helix_ray.actors.cluster import local_cluster
from helix_ray.backends.chat import TransportFailure
from helix_ray.backends.groq_client import GroqChat
from helix_ray.backends.probe import MAX_COST_USD, MAX_REQUESTS, Probe
from helix_ray.config import Config
from helix_ray.config.loading import load_config
from helix_ray.emulator.process import EmulatorProcess
from helix_ray.environment.home import helix_home
from helix_ray.environment.lock import HomeLock
from helix_ray.environment.secrets import Secret, Secrets, load_secrets, withdraw_from_environment
from helix_ray.environment.shipped import shipped_config
from helix_ray.errors import HelixError, MissingSecretError, StartError
from helix_ray.providers.model_catalog import ModelCatalog, compare_prices, read_catalog
from helix_ray.providers.prices import per_million, tariff_of
from helix_ray.session.database import open_database
from helix_ray.session.provider_check import check_key
from helix_ray.sources import check_source

MODEL = "openai/gpt-oss-20b"

Model = Annotated[str, typer.Option(help="Model to probe.")]
BaseUrl = Annotated[str | None, typer.Option(help="Another server of the same protocol to probe. Default: Groq.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before the probe spends.")]


@dataclass(frozen=True, slots=True)
class Finding:
    part: str
    ok: bool
    found: str


def doctor(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG]", help="Configuration to check. Default: the shipped demo.yaml.")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides one key. May be repeated.")] = None,
    ask_service: Annotated[
        bool, typer.Option("--probe", help="Instead ask the real service which assumptions of the emulator hold: $0.01 at most.")
    ] = False,
    model: Model = MODEL,
    base_url: BaseUrl = None,
    yes: Yes = False,
) -> None:
    """Checks configuration, key, model, price, database, input files and Ray. Sends no completion, so it costs nothing.

    Exit codes: 0 everything is ready · 2 something is not; the table says what to do.

    With --probe it checks none of that, but the emulator's assumptions at the real service, with at most 10 paid requests; it needs
    GROQ_API_KEY. Exit codes: 0 every assumption that was checked held · 1 one did not, or the checks ended early · 2 it could not
    start, nothing was sent.
    """
    if ask_service:
        probe(model, base_url, yes)
    path = config or shipped_config("demo")
    settings = load_config(path, list(overrides or ()))
    secrets = load_secrets(os.environ, Path(".env"))
    withdraw_from_environment()
    home = helix_home()
    with HomeLock(home):
        findings = [Finding("configuration", True, f"{path}: valid"), *_examine(settings, home, secrets)]
    table = Table("part", "", Column("found", overflow="fold"), title="helix doctor", title_justify="left")
    for finding in findings:
        table.add_row(finding.part, "ok" if finding.ok else "FAIL", finding.found, style=None if finding.ok else "bold red")
    Console().print(table)
    sys.exit(0 if all(finding.ok for finding in findings) else 2)


def _examine(config: Config, home: Path, secrets: Secrets) -> list[Finding]:
    offered: ModelCatalog = {}  # what the provider lists, once "model" has asked it
    checks: dict[str, Callable[[], str]] = {
        "input": lambda: _input(config),
        "database": lambda: _database(config, home, secrets),
        "ray": lambda: _ray(config, home),
    }
    if config.analyzer.backend.asks_an_api:
        checks = {
            "key": lambda: _key(config, secrets),
            "model": lambda: _model(config, secrets, offered),
            "price": lambda: check_price(config, offered),
            **checks,
        }
    findings = []
    for part, check in checks.items():
        try:
            findings.append(Finding(part, True, check()))
        except HelixError as error:
            findings.append(Finding(part, False, str(error)))
    return findings


def _key(config: Config, secrets: Secrets) -> str:
    check_key(config, secrets)
    return "GROQ_API_KEY is set" if config.analyzer.backend.needs_key else "the emulator needs none"


def check_price(config: Config, offered: ModelCatalog) -> str:
    model = config.analyzer.model
    price = tariff_of(model).price
    words = f"{model}: {per_million(price.prompt)} in, {per_million(price.completion)} out, per million tokens"
    if model not in offered:
        return f"{words}; not compared with the provider's, which could not be asked"
    pricing = compare_prices(model, offered[model])
    if pricing.differences:
        raise StartError(
            f"{model} has another price now, so the budget would not hold: {'; '.join(pricing.differences)} (per million tokens)"
        )
    return f"{words}; {'GET /models says the same' if pricing.seen else 'GET /models names no price to compare with'}"


def _model(config: Config, secrets: Secrets, offered: ModelCatalog) -> str:
    """Leaves in ``offered`` what the provider lists."""
    key = check_key(config, secrets)
    assert key is not None
    if not config.analyzer.backend.simulated:
        return asyncio.run(_ask_models(config, key, config.analyzer.base_url, offered))
    emulator = EmulatorProcess.start(config.emulator, config.analyzer.model)
    try:
        return "emulator: " + asyncio.run(_ask_models(config, key, emulator.url, offered))
    finally:
        emulator.stop()


async def _ask_models(config: Config, key: Secret, base_url: str | None, offered: ModelCatalog) -> str:
    chat = GroqChat(key.reveal(), base_url, connections=1)
    try:
        reply = await chat.models()
    finally:
        await chat.aclose()
    if isinstance(reply, TransportFailure):
        raise StartError(f"GET /models got no answer ({reply.error_kind}): {reply.message}")
    if reply.status in (401, 403):
        raise StartError(f"GET /models answered {reply.status}: the provider does not accept the key; check GROQ_API_KEY")
    if reply.status != 200:
        raise StartError(f"GET /models answered {reply.status}; try again later")
    offered.update(read_catalog(reply.body))
    if config.analyzer.model not in offered:
        raise StartError(f"model '{config.analyzer.model}' is not offered; offered: {', '.join(sorted(offered))}")
    return f"{config.analyzer.model} is offered"


def _input(config: Config) -> str:
    checksum = check_source(config)
    if config.source.input_file is None:
        return f"synthetic, seed {config.run.seed}"
    return f"{config.source.input_file}: readable, sha256 {str(checksum)[:12]}…"


def _database(config: Config, home: Path, secrets: Secrets) -> str:
    open_database(config, home, secrets)
    where = f"embedded, in {home / 'postgres'}" if config.sink.database == "embedded" else "DATABASE_URL"
    return f"{where}: reachable, writable, schema up to date"


def _ray(config: Config, home: Path) -> str:
    with local_cluster(home, config.ray) as cluster:
        dashboard = f", dashboard at {cluster.dashboard_url}" if cluster.dashboard_url else ""
    return f"starts and stops{dashboard}"


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
            _print_probe(console, target, service)
    sys.exit(1 if any(check.held is False for check in service.checks) else 0)


def _print_probe(console: Console, target: str, service: Probe) -> None:
    columns = (Column(name, overflow="fold") for name in ("assumption", "held", "seen"))
    table = Table(*columns, title=f"Assumptions of the emulator, checked against {target}", title_justify="left")
    for check in service.checks:
        table.add_row(check.assumption, {True: "yes", False: "NO", None: "not seen"}[check.held], check.seen)
    console.print(table)
    requests = f"{service.requests} paid request{'' if service.requests == 1 else 's'}"
    console.print(f"{requests}, ${service.cost_usd:.6f} at most", highlight=False)
