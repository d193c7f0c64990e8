"""The database of a run before it starts: opened, checked, migrated, and searched for stored runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
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
from helix_ray.storage.ledger import RunSummary, StoredRun
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


def find_stored(home: Path, secrets: Secrets, run: str, config: Config | None, option: str) -> tuple[StoredRun, Secret]:
    """A run by its id, a beginning of it, its name or `LAST`, and the address of the database that holds it.

    ``config`` says which database to ask, None: every one that is known. ConfigError names ``option``: there is no such run, or
    more than one.
    """
    if run == LAST:
        last = RunFile.read_last(home)
        if last is None:
            raise ConfigError(option, [f"no run is known in HELIX_HOME {home}; name one, `helix runs` lists them"])
        run = last.run_id

    async def look(ledger: PostgresLedger) -> StoredRun | None:
        found = await ledger.runs(run)
        if len(found) > 1:
            ids = ", ".join(f"{it.run_id} ({it.name}, {it.started_at:%Y-%m-%d %H:%M})" for it in found[:3])
            raise ConfigError(option, [f"{run!r} can mean {len(found)} runs: {ids}{', …' if len(found) > 3 else ''}; name one by its id"])
        return await ledger.load_run(found[0].run_id) if found else None

    for candidate in [config] if config is not None else _databases(home, secrets):
        url = open_database(candidate, home, secrets)
        stored = with_ledger(url, look, START_DEADLINE_S)
        if stored is not None:
            return stored, url
    raise ConfigError(option, [f"no run has the id or the name {run!r}; `helix runs` lists those that there are; HELIX_HOME is {home}"])


def find_run(run: str | None, option: str = "--run") -> tuple[StoredRun, Secret]:
    """As `find_stored`, in this HELIX_HOME and with this environment's secrets; None: the last one."""
    return find_stored(helix_home(), _secrets(), run or LAST, None, option)


def find_runs(runs: Sequence[str], option: str, begun_before: datetime | None = None) -> list[tuple[StoredRun, Secret]]:
    """As `find_run`, each once, and every run that began before. ConfigError where two names are of one run."""
    home, secrets = helix_home(), _secrets()
    found = [find_stored(home, secrets, run, None, option) for run in runs]
    ids = [stored.run_id for stored, _ in found]
    if twice := [name for name, run_id in zip(runs, ids, strict=True) if ids.count(run_id) > 1]:
        raise ConfigError(option, [f"{' and '.join(map(repr, twice))} are the same run, {ids[runs.index(twice[0])]}; name each once"])
    old = [] if begun_before is None else [run.run_id for run in _all(home, secrets) if run.started_at < begun_before]
    return found + [find_stored(home, secrets, run, None, option) for run in old if run not in ids]


def find_begun(config: Config, home: Path, secrets: Secrets) -> StoredRun | None:
    """The run whose id the configuration gives; None: it has not begun, or gives none."""
    run_id = config.run.id
    if run_id is None or (config.sink.database == "embedded" and not (home / "postgres").is_dir()):
        return None
    return with_ledger(open_database(config, home, secrets), lambda ledger: ledger.load_run(run_id), START_DEADLINE_S)


def list_runs() -> list[RunSummary]:
    """Every run that is known in this HELIX_HOME and environment; of each database the newest first."""
    return _all(helix_home(), _secrets())


def _all(home: Path, secrets: Secrets) -> list[RunSummary]:
    urls = [open_database(candidate, home, secrets) for candidate in _databases(home, secrets)]
    return [run for url in urls for run in with_ledger(url, lambda ledger: ledger.runs(), START_DEADLINE_S)]


def _secrets() -> Secrets:
    secrets = load_secrets(os.environ, Path(".env"))
    withdraw_from_environment()
    return secrets


def _databases(home: Path, secrets: Secrets) -> Iterator[Config]:
    """Where a run can be that is named by its id alone: the embedded database of this home, then DATABASE_URL."""
    if (home / "postgres").is_dir():
        yield Config()
    if secrets.database_url is not None:
        yield parse_config({"sink": {"database": "external"}}, "DATABASE_URL")
