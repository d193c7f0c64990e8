"""Brings schema ``helix`` up to date: append-only migrations, one transaction, one process at a time."""

from __future__ import annotations

from helix_ray.errors import DatabaseUnavailableError
from helix_ray.storage.session import Session, Transaction
from helix_ray.storage.statements import migrations, statements


def latest_version() -> int:
    return migrations()[-1].version


async def migrate(session: Session) -> int:
    """The version reached. Idempotent, and safe beside other processes doing the same."""
    return await session.run(_migrate)


async def _migrate(transaction: Transaction) -> int:
    sql = statements("session")
    await transaction.rows(sql["migration_lock"])
    state = (await transaction.rows(sql["schema_exists"]))[0]
    if not state["schema_exists"]:
        await transaction.execute(sql["create_schema"])
    if not state["migrated"]:
        await transaction.execute(sql["create_version_table"])
    current = int((await transaction.rows(sql["schema_version"]))[0]["version"])
    refuse_newer(current)
    for migration in migrations():
        if migration.version > current:
            await transaction.script(migration.sql)
            await transaction.execute(sql["record_migration"], {"version": migration.version, "name": migration.name})
    return latest_version()


def refuse_newer(version: int) -> None:
    """A newer schema may hold rows that this version would misread."""
    if version > latest_version():
        raise DatabaseUnavailableError(
            f"schema helix of this database has version {version}, made by a newer helix-throttle; this one knows up to "
            f"{latest_version()}: install the newer version, or use another database"
        )
