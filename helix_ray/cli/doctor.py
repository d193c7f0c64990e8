"""``helix doctor``: everything a run needs, checked without sending one completion.

``--probe``: one tiny completion more, which shows which assumptions about the provider hold.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.prompt import Confirm
from rich.table import Column, Table
from rich.text import Text

from helix_ray.actors.cluster import cluster_of, prepare
from helix_ray.backends.probe import Check, Probe
from helix_ray.config import Config
from helix_ray.config.loading import load_config
from helix_ray.emulator.process import EmulatorProcess
from helix_ray.environment.home import helix_home
from helix_ray.environment.lock import HomeLock
from helix_ray.environment.logs import visible
from helix_ray.environment.secrets import Secrets, load_secrets, withdraw_from_environment
from helix_ray.environment.shipped import shipped_config
from helix_ray.errors import ConfigError, HelixError, InputError
from helix_ray.forecast.workload import not_analysed
from helix_ray.providers.dialects import dialect_of
from helix_ray.providers.prices import expected_tariff
from helix_ray.records import left_out
from helix_ray.session.database import open_database
from helix_ray.session.provider_check import Provider, ask_provider, check_backend, check_completion, check_key
from helix_ray.sources import check_source, copied, make_source

Configuration = Annotated[
    Path | None, typer.Argument(metavar="[CONFIG]", help="Configuration to check. Default: demo.yaml, with --probe live.yaml.")
]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides one key. May be repeated.")]
Model = Annotated[str | None, typer.Option(help="Model to probe: short for --set analyzer.model=.")]
BaseUrl = Annotated[str | None, typer.Option(help="Server to probe: short for --set provider.base_url=.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before the probe spends.")]


@dataclass(frozen=True, slots=True)
class Finding:
    part: str
    ok: bool
    found: str


def doctor(
    config: Configuration = None,
    overrides: Overrides = None,
    ask_service: Annotated[
        bool, typer.Option("--probe", help="Instead send one tiny completion to the provider, and say which assumptions about it hold.")
    ] = False,
    model: Model = None,
    base_url: BaseUrl = None,
    yes: Yes = False,
) -> None:
    """Checks configuration, key, model, price, database, input files and Ray. Sends no completion, so it costs nothing.

    Exit codes: 0 everything is ready · 2 something is not; the table says what to do.

    With --probe it checks key, model and price, names what one tiny completion can cost, asks, and sends it. Exit codes: 0 every
    assumption that was seen held · 1 one did not, or no answer came · 2 it could not start, nothing was sent.
    """
    if ask_service:
        probe(config, overrides, model, base_url, yes)
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
    found: list[Provider] = []  # once "model" has asked it
    checks: dict[str, Callable[[], str]] = {
        "input": lambda: _copied_input(config),
        "database": lambda: _database(config, home, secrets),
        "ray": lambda: _ray(config, home),
    }
    if config.analyzer.backend.asks_an_api:
        checks = {
            "key": lambda: _key(config, secrets),
            "model": lambda: _model(config, secrets, found),
            "price": lambda: _price(config, found),
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
    key, dialect = check_key(config, secrets), dialect_of(config.provider)
    if not config.analyzer.backend.asks_provider:
        return "the emulator needs none"
    return f"{dialect.key} is set" if key is not None else f"{dialect.title} needs none, and none is set"


def _model(config: Config, secrets: Secrets, found: list[Provider]) -> str:
    """Leaves in ``found`` what the provider said."""
    key = check_key(config, secrets)
    if not config.analyzer.backend.simulated:
        found.append(asyncio.run(ask_provider(config, key)))
        return f"{config.provider.name}: {found[0].found}"
    emulator = EmulatorProcess.start(config.emulator, config.analyzer.model)
    try:
        found.append(asyncio.run(ask_provider(config, key, emulator.url)))
        return f"emulator: {found[0].found}"
    finally:
        emulator.stop()


def _price(config: Config, found: list[Provider]) -> str:
    tariff = found[0].tariff if found else expected_tariff(config.analyzer.model, config.provider)
    check_completion(config, tariff)
    return f"{config.analyzer.model}: {tariff.describe()}{'' if found else '; the provider could not be asked'}"


def _copied_input(config: Config) -> str:
    with TemporaryDirectory(prefix="helix-") as folder:
        return _input(copied(config, Path(folder))).replace(f"{folder}/", "the copy ")


def _input(config: Config) -> str:
    checksum = check_source(config)
    if config.source.input_file is None:
        return f"synthetic, seed {config.run.seed}"
    found = f"{config.source.input_file}: readable, sha256 {str(checksum)[:12]}…"
    if config.source.path is None or (first := make_source(config).block(0)) is None:
        return found
    reasons = not_analysed([first])
    if reasons.total() == first.size:
        raise InputError(f"{found}; none of the first {first.size} records can be analysed: {left_out(reasons)}")
    return f"{found}; of the first {first.size} records {first.size - reasons.total()} will be analysed" + (
        f", {left_out(reasons)}" if reasons else ""
    )


def _database(config: Config, home: Path, secrets: Secrets) -> str:
    open_database(config, home, secrets)
    where = f"embedded, in {home / 'postgres'}" if config.sink.database == "embedded" else "DATABASE_URL"
    return f"{where}: reachable, writable, schema up to date"


def _ray(config: Config, home: Path) -> str:
    prepare(home, config.ray)
    with cluster_of(home, config.ray) as cluster:
        dashboard = f", dashboard at {cluster.dashboard_url}" if cluster.dashboard_url else ""
    return f"starts and stops{dashboard}" if cluster.driver_node is None else f"the cluster at {cluster.address} lets this process in"


def probe(
    config: Configuration = None, overrides: Overrides = None, model: Model = None, base_url: BaseUrl = None, yes: Yes = False
) -> None:
    """Sends one tiny completion to the provider and prints which assumptions about it hold. What it can cost is named before.

    Exit codes: 0 every assumption that was seen held · 1 one did not, or no answer came · 2 it could not start, nothing was sent.
    """
    short = {"analyzer.model": model, "provider.base_url": base_url}
    settings = [*(overrides or ()), *(f"{key}={value}" for key, value in short.items() if value is not None)]
    loaded = load_config(config or shipped_config("live"), settings)
    secrets = load_secrets(os.environ, Path(".env"))
    withdraw_from_environment()
    if not loaded.analyzer.backend.asks_provider:
        raise ConfigError("--probe", [f"only backend groq asks a provider; the configuration has {loaded.analyzer.backend.value}"])
    provider = check_backend(loaded, secrets)
    assert provider is not None
    console, service = Console(), Probe(loaded, provider.api_key, provider.tariff)
    target = f"{loaded.provider.name} at {loaded.provider_url}"
    console.print(f"{provider.found}\nPrices: {provider.tariff.describe()}", markup=False, highlight=False, soft_wrap=True)
    question = f"Send one completion of at most {service.tokens} tokens, ${service.worst_usd:.6f} at most, to {target}?"
    if not yes and not Confirm.ask(question, console=console, default=False):
        raise typer.Exit(2)
    checks = asyncio.run(service.run())
    _print_probe(console, target, checks)
    console.print(f"1 completion, ${service.cost_usd:.6f} of ${service.worst_usd:.6f} at most", highlight=False)
    sys.exit(1 if any(check.held is False for check in checks) else 0)


def _print_probe(console: Console, target: str, checks: list[Check]) -> None:
    columns = (Column(name, overflow="fold") for name in ("assumption", "held", "seen"))
    table = Table(*columns, title=f"What is assumed about {target}", title_justify="left")
    for check in checks:
        table.add_row(check.assumption, {True: "yes", False: "NO", None: "not seen"}[check.held], Text(visible(check.seen)))
    console.print(table)
