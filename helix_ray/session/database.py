"""The database of a run before it starts: opened, checked, migrated, and searched for stored runs."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from helix_ray.config import Config
from helix_ray.config.loading import parse_config
from helix_ray.environment.home import helix_home
from helix_ray.environment.run_file import RunFile
from helix_ray.environment.secrets import Secret, Secrets, load_secrets, withdraw_from_environment
from helix_ray.errors import ConfigError, MissingSecretError
from helix_ray.session.plan import START_DEADLINE_S
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.embedded import embedded_url
from helix_ray.storage.ledger import StoredRun
from helix_ray.storage.postgres import PostgresLedger

LAST = "last"
"""In place of a run's id: the run of this HELIX_HOME that began last."""


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


def find_stored(home: Path, secrets: Secrets, run_id: str, config: Config | None, option: str) -> tuple[StoredRun, Secret]:
    """A run by its id, or ``last``, and the address of the database that holds it. ``option`` is named by the error.

    ``config`` says which database to ask. None: every one that is known.
    """
    if run_id == LAST:
        run_id = _last(home, option)
    try:
        uuid.UUID(run_id)
    except ValueError:
        raise ConfigError(option, [f"'{run_id}' is not a run id; helix status and the report show it, and {LAST} is the newest"]) from None
    for candidate in [config] if config is not None else _databases(home, secrets):
        url = open_database(candidate, home, secrets)
        stored = with_ledger(url, lambda ledger: ledger.load_run(run_id), START_DEADLINE_S)
        if stored is not None:
            return stored, url
    raise ConfigError(option, [f"run {run_id} is not in the database; HELIX_HOME is {home}"])


def find_run(run_id: str | None, otherwise: str = "") -> tuple[StoredRun, Secret]:
    """The run with this id, None: the last one of this HELIX_HOME; and its database's address.

    ConfigError when there is none; ``otherwise`` is then what else could be done, after "name one with --run".
    """
    home = helix_home()
    if run_id is None:
        run_id = _last(home, "--run", f"; name one with --run{otherwise}")
    secrets = load_secrets(os.environ, Path(".env"))
    withdraw_from_environment()
    return find_stored(home, secrets, run_id, None, "--run")


def _last(home: Path, option: str, advice: str = "") -> str:
    last = RunFile.read_last(home)
    if last is None:
        raise ConfigError(option, [f"no run is known in HELIX_HOME {home}{advice}"])
    return last.run_id


def _databases(home: Path, secrets: Secrets) -> Iterator[Config]:
    """Where a run can be that is named by its id alone: the embedded database of this home, then DATABASE_URL."""
    if (home / "postgres").is_dir():
        yield Config()
    if secrets.database_url is not None:
        yield parse_config({"sink": {"database": "external"}}, "DATABASE_URL")
