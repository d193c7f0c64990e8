"""Can this PostgreSQL hold a ledger? Asked before anything is started; the answer is facts, or an error with advice."""

from __future__ import annotations

from typing import Any

from helix_ray.errors import DatabaseUnavailableError
from helix_ray.storage.ledger import LedgerFacts
from helix_ray.storage.migrating import latest_version, refuse_newer
from helix_ray.storage.session import Session, Transaction
from helix_ray.storage.statements import statements

MINIMUM_VERSION = 140_000
"""PostgreSQL 14, the oldest release that its makers still supported when the schema was written."""


async def inspect(session: Session) -> LedgerFacts:
    """Version, writability, encoding and rights. Changes nothing."""
    sql = statements("session")
    facts = (await session.run(lambda transaction: transaction.rows(sql["facts"])))[0]
    refuse_unfit(facts)
    if not facts["schema_exists"]:
        return LedgerFacts("postgresql", str(facts["version"]), None)
    schema = (await session.run(lambda transaction: transaction.rows(sql["schema_rights"])))[0]
    if not schema["may_use"]:
        raise DatabaseUnavailableError("the role may not use schema helix; GRANT USAGE ON SCHEMA helix to it")
    version: int | None = None
    if facts["migrated"]:
        version = int((await session.run(lambda transaction: transaction.rows(sql["schema_version"])))[0]["version"])
        refuse_newer(version)
    if version != latest_version() and not schema["may_create"]:
        raise DatabaseUnavailableError(
            "schema helix must be brought up to date and the role may not do it; GRANT CREATE ON SCHEMA helix to it, "
            "or start once with the schema's owner"
        )
    lacking = await session.run(lambda transaction: transaction.rows(sql["table_rights"]))
    if lacking:
        tables = ", ".join(f"helix.{row['name']}" for row in lacking)
        raise DatabaseUnavailableError(f"the role lacks SELECT, INSERT or UPDATE on {tables}; grant them")
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


async def refuse_transaction_pooler(first: Session, second: Session) -> None:
    """Temporary tables and settings belong to a session, and a pooler in transaction mode hands each transaction another one.

    Such a pooler announces a process number of its own, and gives the server process that one client left between two
    transactions to the next client that asks; a session of ours keeps its process to itself.
    """
    pid = await first.run(_backend_pid)
    if await first.announced_pid() == pid:
        return  # no pooler in between

    async def hold(transaction: Transaction) -> None:
        if await _backend_pid(transaction) == pid or await first.run(_backend_pid) != pid:
            raise DatabaseUnavailableError(
                "DATABASE_URL leads to a connection pooler in transaction mode, which breaks temporary tables and settings; "
                "use its session mode, or the server's own port"
            )

    await second.run(hold)


async def _backend_pid(transaction: Transaction) -> int:
    return int((await transaction.rows(statements("session")["backend_pid"]))[0]["pid"])
