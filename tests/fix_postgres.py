"""A real PostgreSQL for the session, a fresh database for each test.

The server is made once in a folder that its system user may enter (pytest's own folders are closed to it when root runs
the tests), with durability off: no test cuts the power.
"""

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from helix_ray.storage.embedded import EmbeddedServer
from helix_ray.storage.postgres import PostgresLedger

TEMPLATE = "helix_template"
FAST = {"fsync": "off", "full_page_writes": "off"}


def with_database(url: str, name: str) -> str:
    """The same server's other database."""
    return url.replace("@/postgres?", f"@/{name}?")


def run_sql(url: str, statement: sql.Composable) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture
def passable_home() -> Iterator[Path]:
    """A folder fit to be HELIX_HOME also when root runs the tests."""
    parent = Path(tempfile.mkdtemp(prefix="helix-home-", dir="/tmp"))  # of this test alone: commands run in it
    home = parent / "home"
    for folder in (parent, home):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)
    yield home
    server = EmbeddedServer(home)
    if (server.data / "postmaster.pid").exists():  # whoever was to stop it was killed by the test
        server.join()
        server.leave()
    shutil.rmtree(parent, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedServer]:
    """A running server with a migrated template database. Who stops it in a test starts it again with `join`."""
    home = Path(tempfile.mkdtemp(prefix="helix-pg-", dir="/tmp"))
    home.chmod(0o711)
    server = EmbeddedServer(home, FAST)
    server.join()
    try:
        run_sql(server.url, sql.SQL("create database {}").format(sql.Identifier(TEMPLATE)))
        with ThreadPoolExecutor(1) as thread:  # the first to ask may be a fixture within an event loop
            thread.submit(lambda: asyncio.run(_migrate(with_database(server.url, TEMPLATE)))).result()
        yield server
    finally:
        server.leave()
        shutil.rmtree(home, ignore_errors=True)


async def _migrate(url: str) -> None:
    ledger = await PostgresLedger.connect(url)
    try:
        await ledger.migrate()
    finally:
        await ledger.aclose()


@pytest.fixture
def own_server() -> Iterator[EmbeddedServer]:
    """A PostgreSQL that the test may stop, durable enough to survive that."""
    home = Path(tempfile.mkdtemp(prefix="helix-own-pg-", dir="/tmp"))
    home.chmod(0o711)
    server = EmbeddedServer(home)
    server.join()
    yield server
    server.leave()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def empty_database_url(postgres_server: EmbeddedServer) -> Iterator[str]:
    """A database without a schema of ours."""
    yield from _database(postgres_server, "template1")


@pytest.fixture
def database_url(postgres_server: EmbeddedServer) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    yield from _database(postgres_server, TEMPLATE)


def _database(server: EmbeddedServer, template: str) -> Iterator[str]:
    name = f"helix_{uuid.uuid4().hex[:12]}"
    run_sql(server.url, sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))
    yield with_database(server.url, name)
    run_sql(server.url, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
