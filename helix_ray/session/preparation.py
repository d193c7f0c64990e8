"""Everything that can be known before a run starts: is each part there, may it be used, and what is left to do?

All of it happens before Ray, the emulator or any actor is started, before anything is sent or stored; what is wrong is a
StartError, exit 2.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, TypeVar

from helix_ray import __version__
from helix_ray.analysis.prompts import get_prompt
from helix_ray.backends.chat import TransportFailure
from helix_ray.backends.groq_client import GroqChat
from helix_ray.clock import SystemClock
from helix_ray.config import Backend, Config
from helix_ray.config.loading import parse_config
from helix_ray.errors import ConfigError, InputError, MissingSecretError, StartError
from helix_ray.providers.model_catalog import catalog_tariff, read_catalog
from helix_ray.providers.prices import Tariff, tariff_of
from helix_ray.scoring.score import SCORER_VERSION
from helix_ray.secrets import Secret, Secrets
from helix_ray.sources import SourceFacts, check_source, generator_version
from helix_ray.storage.embedded import embedded_url
from helix_ray.storage.ledger import RunRow, StoredRun
from helix_ray.storage.postgres import PostgresLedger

Value = TypeVar("Value")

START_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that may start."""

    config: Config
    run_id: str
    home: Path
    database_url: Secret
    api_key: Secret | None
    source: SourceFacts
    row: RunRow
    simulated: bool  # the answers are an emulator's: ours, or one behind analyzer.base_url
    tariff: Tariff | None = None  # what tokens cost; None: the aligner, which asks nobody
    resumed: bool = False
    rows_before: int = 0

    @property
    def sends_files_outside(self) -> bool:
        """Reads of a file go to an API that is not on this machine."""
        return self.config.source.input_file is not None and self.config.analyzer.backend is Backend.GROQ


def with_ledger(url: Secret, use: Callable[[PostgresLedger], Awaitable[Value]], timeout_s: float = 30.0) -> Value:
    """Runs ``use`` with a connection of its own: for the driver, which asks little and seldom."""

    async def session() -> Value:
        ledger = await PostgresLedger.connect(url.reveal(), statement_timeout_s=timeout_s)
        try:
            return await use(ledger)
        finally:
            await ledger.aclose()

    return asyncio.run(session())


def open_database(config: Config, home: Path, secrets: Secrets) -> Secret:
    """The address of a database that is there, new enough, ours to write to, and at the newest schema."""
    if config.sink.database == "external":
        if secrets.database_url is None:
            raise MissingSecretError("sink.database is external, but DATABASE_URL is not set; set it in the environment or in .env")
        url = secrets.database_url
    else:
        url = Secret(embedded_url(home))

    async def check(ledger: PostgresLedger) -> None:
        await ledger.check()
        await ledger.migrate()

    with_ledger(url, check, START_DEADLINE_S)
    return url


def check_key(config: Config, secrets: Secrets) -> Secret | None:
    """The API key for backend groq, the emulator's stand-in for the emulator, none for the aligner."""
    match config.analyzer.backend:
        case Backend.GROQ:
            if secrets.groq_api_key is None:
                raise MissingSecretError(
                    "analyzer.backend is groq, but GROQ_API_KEY is not set (placeholders of .env.example count as missing); "
                    "set it in the environment or in .env, or use analyzer.backend=emulator, which needs no key"
                )
            return secrets.groq_api_key
        case Backend.EMULATOR:
            return Secret("no-key-is-needed-here")  # never a word of an answer: the client strikes its key out of those
        case Backend.ALIGNER:
            return None


class Provider(NamedTuple):
    """Who answers a run's requests, and for how much."""

    api_key: Secret
    simulated: bool  # the answers are an emulator's
    tariff: Tariff


def check_backend(config: Config, secrets: Secrets) -> Provider | None:
    """None for the aligner. Price, key, model and address are known to be usable then; no completion is sent."""
    key = check_key(config, secrets)
    if key is None:
        return None
    if config.analyzer.backend is Backend.EMULATOR:
        provider = Provider(key, True, tariff_of(config.analyzer.model))
    else:
        provider = asyncio.run(_ask_provider(key, config))
    check_completion(config, provider.tariff)
    return provider


async def _ask_provider(key: Secret, config: Config) -> Provider:
    """GET /models, which is free: is the model there, what does it cost, and who is behind an address of the user's own?"""
    base_url, model = config.analyzer.base_url, config.analyzer.model
    chat = GroqChat(key.reveal(), base_url, connections=1)
    try:
        reply = await chat.models(timeout_s=START_DEADLINE_S / 2)
    finally:
        await chat.aclose()
    where = base_url or "api.groq.com"
    if isinstance(reply, TransportFailure):
        problem = f"{where} does not answer ({reply.error_kind}: {reply.message}); is the {'server up' if base_url else 'network up'}?"
        raise ConfigError("analyzer.base_url", [problem])
    simulated = reply.headers.get("server", "").startswith("helix-emulator")
    if reply.status in (401, 403):
        raise MissingSecretError(f"GROQ_API_KEY is not accepted: GET /models at {where} was answered {reply.status}; check the key")
    if reply.status in _NO_LIST:
        return Provider(key, simulated, tariff_of(model))
    if reply.status != 200:
        raise StartError(f"GET /models at {where} was answered {reply.status}, so the price of {model} is not known; try again later")
    return Provider(key, simulated, catalog_tariff(model, read_catalog(reply.body)))


_NO_LIST = (404, 405, 501)
"""A compatible server need not list its models; then the table knows the price, or there is none."""


def check_completion(config: Config, tariff: Tariff) -> None:
    """ConfigError: the model does not write so much in one answer, or the cap does not pay for one."""
    asked, limit = config.analyzer.max_completion_tokens, tariff.completion_limit
    if limit is not None and asked > limit:
        problem = f"{config.analyzer.model} gives at most {limit} completion tokens, found {asked}"
        raise ConfigError("analyzer.max_completion_tokens", [problem])
    cap, answer_usd = Decimal(str(config.throttle.max_cost_usd)), asked * tariff.price.completion
    if cap < answer_usd:
        problem = f"one answer of {asked} tokens (analyzer.max_completion_tokens) can cost ${answer_usd:f}, found a cap of ${cap:f}"
        raise ConfigError("throttle.max_cost_usd", [f"{problem}; raise the cap, or ask for shorter answers"])


def prepare(config: Config, home: Path, secrets: Secrets) -> Plan:
    """A new run."""
    provider = check_backend(config, secrets)
    source = check_source(config)
    url = open_database(config, home, secrets)
    return _plan(config, str(uuid.uuid4()), home, url, source, provider)


def load_stored(home: Path, secrets: Secrets, run_id: str, config: Config | None) -> StoredRun:
    """The run to resume. ``config`` says which database to ask; without it every one that is known is asked."""
    return find_stored(home, secrets, run_id, config, "--resume")[0]


def find_stored(home: Path, secrets: Secrets, run_id: str, config: Config | None, option: str) -> tuple[StoredRun, Secret]:
    """A run by its id, and the address of the database that holds it. ``option`` is named by the error when there is none."""
    try:
        uuid.UUID(run_id)
    except ValueError:
        raise ConfigError(option, [f"'{run_id}' is not a run id; helix status and the report show it"]) from None
    for candidate in [config] if config is not None else _databases(home, secrets):
        url = open_database(candidate, home, secrets)
        stored = with_ledger(url, lambda ledger: ledger.load_run(run_id), START_DEADLINE_S)
        if stored is not None:
            return stored, url
    raise ConfigError(option, [f"run {run_id} is not in the database; HELIX_HOME is {home}"])


def _databases(home: Path, secrets: Secrets) -> Iterator[Config]:
    """Where a run can be that is named by its id alone: the embedded database of this home, then DATABASE_URL."""
    if (home / "postgres").is_dir():
        yield Config()
    if secrets.database_url is not None:
        yield parse_config({"sink": {"database": "external"}}, "DATABASE_URL")


def prepare_resume(config: Config, home: Path, secrets: Secrets, stored: StoredRun, accept_changes: bool) -> Plan:
    """The rest of a run. What defines its results may not have changed, unless the user accepts it."""
    before = parse_config(stored.config, "stored configuration")
    source = check_source(config)
    changed = _differences(before, config)
    if stored.versions.get("generator") != generator_version() and config.source.path is None:
        changed.append(f"generator version: was {stored.versions.get('generator')}, is {generator_version()}")
    if stored.versions.get("scorer", "1") != SCORER_VERSION:
        changed.append(f"scorer version: was {stored.versions.get('scorer', '1')}, is {SCORER_VERSION}")
    if not changed and stored.versions.get("prompt") != _versions(config).get("prompt"):
        changed.append(f"analyzer.prompt: the text of {config.analyzer.prompt} is not the one that this run began with")
    if stored.source_checksum != source.checksum:
        raise InputError(
            f"{config.source.input_file}: the file is not the one that run {stored.run_id} began with (its checksum differs); "
            "restore the file, or start a new run"
        )
    if changed and not accept_changes:
        raise ConfigError(f"--resume {stored.run_id}", [*changed, "these define the results; undo them, or pass --accept-changes"])
    provider = check_backend(config, secrets)
    url = open_database(config, home, secrets)
    return _plan(config, stored.run_id, home, url, source, provider, stored)


def _plan(
    config: Config, run_id: str, home: Path, url: Secret, source: SourceFacts, provider: Provider | None, stored: StoredRun | None = None
) -> Plan:
    simulated = (provider is not None and provider.simulated) or (stored is not None and stored.simulated)
    tariff = None if provider is None else provider.tariff
    row = _row(config, run_id, source, simulated, tariff)
    key = None if provider is None else provider.api_key
    rows_before = 0 if stored is None else stored.rows
    return Plan(config, run_id, home, url, key, source, row, simulated, tariff, resumed=stored is not None, rows_before=rows_before)


def _differences(before: Config, after: Config) -> list[str]:
    old, new = before.results_identity(), after.results_identity()
    return [f"{key}: was {old.get(key)!r}, is {new.get(key)!r}" for key in sorted(old | new) if old.get(key) != new.get(key)]


def _row(config: Config, run_id: str, source: SourceFacts, simulated: bool, tariff: Tariff | None) -> RunRow:
    return RunRow(
        run_id=run_id,
        name=config.run.name,
        config_json=config.to_json(),
        config_hash=config.sha256(),
        seed=config.run.seed,
        backend=config.analyzer.backend.value,
        simulated=simulated,
        versions=_versions(config) | ({} if tariff is None else {"prices": tariff.words()}),
        source_checksum=source.checksum,
        started_at=SystemClock().now(),
    )


def _versions(config: Config) -> dict[str, str]:
    """What makes results besides the configuration; ``prompt`` is the template's hash."""
    versions = {"helix_ray": __version__, "generator": generator_version(), "scorer": SCORER_VERSION}
    if config.analyzer.backend is not Backend.ALIGNER:
        analyzer = config.analyzer
        prompt = get_prompt(analyzer.prompt, examples=analyzer.examples, reads_per_request=analyzer.reads_per_request, work=analyzer.work)
        versions["prompt"] = prompt.sha256
    return versions
