"""Everything that can be known before a run starts: is each part there, may it be used, and what is left to do?

All of it happens before Ray, the emulator or any actor is started, before anything is sent or stored; what is wrong is a
StartError, exit 2.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from helix_ray import __version__
from helix_ray.analysis.prompts import template_of
from helix_ray.clock import SystemClock
from helix_ray.config import Config
from helix_ray.config.loading import parse_config
from helix_ray.environment.secrets import Secret, Secrets
from helix_ray.errors import ConfigError, InputError
from helix_ray.records import RunStatus
from helix_ray.scoring.score import SCORER_VERSION
from helix_ray.session.database import open_database
from helix_ray.session.plan import Plan
from helix_ray.session.provider_check import Provider, check_backend
from helix_ray.sources import check_source, copied, generator_version, is_stream
from helix_ray.storage.ledger import RunRow, StoredRun

INPUT = "input"
"""The folder in HELIX_HOME of copies of what a run cannot read where it is."""

ARM = ("analyzer.", "provider.")
"""Where the keys begin that say who is asked, and how."""


def prepare(config: Config, home: Path, secrets: Secrets) -> Plan:
    """A new run."""
    provider = check_backend(config, secrets)
    config = copied(config, home / INPUT)
    checksum = check_source(config)
    url = open_database(config, home, secrets)
    return _plan(config, config.run.id or str(uuid.uuid4()), home, url, checksum, provider)


def prepare_resume(config: Config, home: Path, secrets: Secrets, stored: StoredRun, accept_changes: bool) -> Plan | None:
    """The rest of a run; None: there is none. What defines its results may not have changed, unless the user accepts it.

    Who is asked and how may never change: a run that mixes two arms says nothing about either.
    """
    if config.run.id not in (None, stored.run_id):
        raise ConfigError(f"--resume {stored.run_id}", [f"the configuration's run.id is another, {config.run.id}; remove it"])
    before = parse_config(stored.config, "stored configuration")
    if is_stream(config.source.path):  # its reads are in the copy, and cannot come again
        config = config.model_copy(update={"source": config.source.model_copy(update={"path": before.source.path})})
    config = copied(config, home / INPUT)
    checksum = check_source(config)
    changed = _differences(before, config)
    if stored.versions.get("generator") != generator_version() and config.source.path is None:
        changed.append(f"generator version: was {stored.versions.get('generator')}, is {generator_version()}")
    if stored.versions.get("scorer", "1") != SCORER_VERSION:
        changed.append(f"scorer version: was {stored.versions.get('scorer', '1')}, is {SCORER_VERSION}")
    if not any(change.startswith(ARM) for change in changed) and stored.versions.get("prompt") != _versions(config).get("prompt"):
        changed.append(f"analyzer.prompt: the text of {config.analyzer.prompt_name} is not the one that this run began with")
    if stored.source_checksum != checksum:
        raise InputError(
            f"{config.source.input_file}: the file is not the one that run {stored.run_id} began with (its checksum differs); "
            "restore the file, or start a new run"
        )
    if mixed := [change for change in changed if change.startswith(ARM)]:
        raise ConfigError(f"--resume {stored.run_id}", [*mixed, "a run cannot mix two ways of asking; undo this, or start a new run"])
    if changed and not accept_changes:
        raise ConfigError(f"--resume {stored.run_id}", [*changed, "these define the results; undo them, or pass --accept-changes"])
    report = stored.totals or {}
    if not changed and stored.status is RunStatus.COMPLETE and report.get("reads_requested") == stored.rows:
        return None
    provider = check_backend(config, secrets)
    url = open_database(config, home, secrets)
    return _plan(config, stored.run_id, home, url, checksum, provider, stored)


def _plan(
    config: Config, run_id: str, home: Path, url: Secret, checksum: str | None, provider: Provider | None, stored: StoredRun | None = None
) -> Plan:
    simulated = (provider is not None and provider.simulated) or (stored is not None and stored.simulated)
    tariff = None if provider is None else provider.tariff
    row = RunRow(
        run_id=run_id,
        name=config.run.name,
        config_json=config.to_json(),
        config_hash=config.sha256(),
        seed=config.run.seed,
        backend=config.analyzer.backend.value,
        simulated=simulated,
        versions=_versions(config) | ({} if tariff is None else {"prices": tariff.describe()}),
        source_checksum=checksum,
        started_at=SystemClock().now(),
    )
    key = None if provider is None else provider.api_key
    return Plan(
        config=config, run_id=run_id, home=home, database_url=url, api_key=key, row=row, simulated=simulated, tariff=tariff,
        resumed=stored is not None, rows_before=0 if stored is None else stored.rows,
        cost_before_usd=0.0 if stored is None else float(stored.cost_usd),
    )  # fmt: skip


def _differences(before: Config, after: Config) -> list[str]:
    old, new = before.results_identity(), after.results_identity()
    changed = [key for key in sorted(old | new) if old.get(key) != new.get(key)]
    return [f"{key}: was {json.dumps(old.get(key))}, is {json.dumps(new.get(key))}" for key in changed]


def _versions(config: Config) -> dict[str, str]:
    """What makes results besides the configuration; ``prompt`` is the template's hash."""
    versions = {"helix_ray": __version__, "generator": generator_version(), "scorer": SCORER_VERSION}
    if config.analyzer.backend.asks_an_api:
        versions["prompt"] = template_of(config.analyzer).sha256
    return versions
