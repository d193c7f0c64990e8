"""The ledger in PostgreSQL: whether a database can hold one, its schema, and the ledger assembled from its parts."""

from __future__ import annotations

from typing import Any

from helix_ray.errors import DatabaseLostError, DatabaseUnavailableError
from helix_ray.storage.ledger import LedgerFacts
from helix_ray.storage.postgres_session import PostgresSession, PostgresTransaction
from helix_ray.storage.reading import Reading
from helix_ray.storage.retention import Retention
from helix_ray.storage.statements import migrations, statements
from helix_ray.storage.writing import Writing

MINIMUM_VERSION = 140_000
"""PostgreSQL 14, the oldest release that its makers still supported when the schema was written."""


class PostgresLedger(Writing, Reading, Retention):
    """`Ledger` in schema ``helix`` of a PostgreSQL database. Nothing is connected until `connect` or the first call."""

    def __init__(self, url: str, statement_timeout_s: float = 30.0) -> None:
        self._url = url
        self._statement_timeout_s = statement_timeout_s
        self._session = PostgresSession(url, statement_timeout_s)

    @classmethod
    async def connect(cls, url: str, statement_timeout_s: float = 30.0) -> PostgresLedger:
        """A ledger whose database answers; DatabaseUnavailableError within ten seconds otherwise."""
        ledger = cls(url, statement_timeout_s)
        await ledger._session.open()
        return ledger

    async def check(self) -> LedgerFacts:
        second = PostgresSession(self._url, self._statement_timeout_s)
        try:
            await refuse_transaction_pooler(self._session, second)
            return await _inspect(self._session)
        except DatabaseLostError as error:  # before the start there is nothing to lose yet
            raise DatabaseUnavailableError(str(error)) from None
        finally:
            await second.aclose()

    async def migrate(self) -> int:
        """As `Ledger.migrate`, by append-only migrations: all in one transaction, one process at a time."""
        try:
            return await self._session.run(_migrate)
        except DatabaseLostError as error:
            raise DatabaseUnavailableError(str(error)) from None

    async def claim(self, run_id: str) -> None:
        await self._session.claim(run_id)

    async def aclose(self) -> None:
        await self._session.aclose()


def latest_version() -> int:
    """Of the schema, as this program knows it."""
    return migrations()[-1].version


async def _migrate(transaction: PostgresTransaction) -> int:
    sql = statements("session")
    await transaction.rows(sql["migration_lock"])
    state = (await transaction.rows(sql["schema_exists"]))[0]
    if not state["schema_exists"]:
        await transaction.execute(sql["create_schema"])
    if not state["migrated"]:
        await transaction.execute(sql["create_version_table"])
    current = int((await transaction.rows(sql["schema_version"]))[0]["version"])
    _refuse_newer(current)
    for migration in migrations():
        if migration.version > current:
            await transaction.execute(migration.sql)
            await transaction.execute(sql["record_migration"], {"version": migration.version, "name": migration.name})
    return latest_version()


def _refuse_newer(version: int) -> None:
    """A newer schema may hold rows that this version would misread."""
    if version > latest_version():
        raise DatabaseUnavailableError(
            f"schema helix of this database has version {version}, made by a newer helix-throttle; this one knows up to "
            f"{latest_version()}: install the newer version, or use another database"
        )


async def _inspect(session: PostgresSession) -> LedgerFacts:
    """Version, writability, encoding and rights. Changes nothing."""
    facts = (await session.rows("session", "facts"))[0]
    refuse_unfit(facts)
    if not facts["schema_exists"]:
        return LedgerFacts("postgresql", str(facts["version"]), None)
    schema = (await session.rows("session", "schema_rights"))[0]
    if not schema["may_use"]:
        raise DatabaseUnavailableError("the role may not use schema helix; GRANT USAGE ON SCHEMA helix to it")
    version: int | None = None
    if facts["migrated"]:
        version = int((await session.rows("session", "schema_version"))[0]["version"])
        _refuse_newer(version)
    if version != latest_version() and not schema["may_create"]:
        raise DatabaseUnavailableError(
            "schema helix must be brought up to date and the role may not do it; GRANT CREATE ON SCHEMA helix to it, "
            "or start once with the schema's owner"
        )
    lacking = await session.rows("session", "table_rights")
    if lacking:
        tables = ", ".join(f"helix.{row['name']}" for row in lacking)
        raise DatabaseUnavailableError(f"the role lacks SELECT, INSERT, UPDATE or (for receipts) DELETE on {tables}; grant them")
    return LedgerFacts("postgresql", str(facts["version"]), version)


def refuse_unfit(facts: dict[str, Any]) -> None:
    """The rules that need no second question."""
    if facts["version_number"] < MINIMUM_VERSION:
        raise DatabaseUnavailableError(f"PostgreSQL {facts['version']} is too old; version 14 or later is needed")
    if facts["read_only"]:
        raise DatabaseUnavailableError("the server is read-only, perhaps a standby; name the primary in DATABASE_URL")
    if facts["encoding"] != "UTF8":
        raise DatabaseUnavailableError(f"the database has encoding {facts['encoding']}; create one with ENCODING 'UTF8'")
    if not facts["may_use_temporary"]:
        raise DatabaseUnavailableError("the role may not make temporary tables; GRANT TEMPORARY ON DATABASE to it")
    if not facts["schema_exists"] and not facts["may_create"]:
        raise DatabaseUnavailableError("the role may not create schema helix; GRANT CREATE ON DATABASE to it, or make the schema for it")


async def refuse_transaction_pooler(first: PostgresSession, second: PostgresSession) -> None:
    """Temporary tables and settings belong to a session, and a pooler in transaction mode hands each transaction another one.

    Such a pooler announces a process number of its own, and gives the server process that one client left between two
    transactions to the next client that asks; a session of ours keeps its process to itself.
    """
    pid = await first.run(_backend_pid)
    if await first.announced_pid() == pid:
        return  # no pooler in between

    async def hold(transaction: PostgresTransaction) -> None:
        if await _backend_pid(transaction) == pid or await first.run(_backend_pid) != pid:
            raise DatabaseUnavailableError(
                "DATABASE_URL leads to a connection pooler in transaction mode, which breaks temporary tables and settings; "
                "use its session mode, or the server's own port"
            )

    await second.run(hold)


async def _backend_pid(transaction: PostgresTransaction) -> int:
    return int((await transaction.rows(statements("session")["backend_pid"]))[0]["pid"])
