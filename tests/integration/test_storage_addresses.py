"""Addresses of a database that lead nowhere: what is wrong is said within ten seconds, and no password."""

import asyncio
import socket
import uuid

import psycopg
import pytest
from psycopg import sql

from helix_ray.errors import DatabaseUnavailableError
from helix_ray.storage.embedded import EmbeddedServer
from helix_ray.storage.postgres import PostgresLedger
from helix_ray.storage.postgres_session import libpq_environment

SECRET = "hunter2-very-secret"


async def refused(url: str) -> str:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(DatabaseUnavailableError) as caught:
        await PostgresLedger.connect(url)
    assert loop.time() - began < 10.0  # the promise itself
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    message = str(caught.value)
    assert SECRET not in message
    return message


async def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert "nothing listens there" in await refused(f"postgresql://u:{SECRET}@127.0.0.1:{unused.getsockname()[1]}/d")
    assert "no socket there" in await refused(f"postgresql://u:{SECRET}@/d?host=/nonexistent")


async def test_a_server_that_accepts_and_says_nothing() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        assert "no answer" in await refused(f"postgresql://u:{SECRET}@127.0.0.1:{deaf.getsockname()[1]}/d")


@pytest.mark.parametrize(
    "url", [f"postgres//u:{SECRET}@h", f"postgresql://u:{SECRET}@h:port/d", f"password={SECRET} nonsense", f"x={SECRET}"]
)
async def test_a_text_that_is_no_address(url: str) -> None:
    await refused(url)


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (f"u:{SECRET}@h/d?schema=public", "its part 'schema' is another tool's; remove it: the tables lie in schema helix"),
        (f"h/d?user=u&password={SECRET}&currentSchema=x", "its part 'currentSchema'"),
        (f"u:{SECRET}@h/d?pgbouncer=true", "its part 'pgbouncer'"),
        (f"u:{SECRET}@h/d?ssl=require", "write sslmode=require"),
        (f"u:my@h/d?{SECRET}=x", "it is no address of PostgreSQL; write postgresql://user"),
        (f"u:{SECRET}%@h/d", "write % as %25"),
        (f"u:{SECRET}@127.0.0.1:70000/d", "the port is not a number from 1 to 65535"),
        (f"u:{SECRET}@127.0.0.1/d?sslmode=on", "sslmode is disable"),
    ],
)
async def test_the_part_of_an_address_that_is_at_fault_is_named(rest: str, expected: str) -> None:
    assert expected in await refused(f"postgresql://{rest}")


async def test_a_missing_role_is_no_missing_database(database_url: str) -> None:
    assert "the role does not exist" in await refused(database_url.replace("postgres@", "nosuch@"))


async def test_an_address_as_environment() -> None:
    found = libpq_environment(f"postgresql://u:{SECRET}@h:5433/d?sslmode=require")
    assert {name: found[name] for name in ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLMODE")} == {
        "PGHOST": "h",
        "PGPORT": "5433",
        "PGUSER": "u",
        "PGPASSWORD": SECRET,
        "PGDATABASE": "d",
        "PGSSLMODE": "require",
    }
    with pytest.raises(DatabaseUnavailableError) as caught:
        libpq_environment(f"postgres//u:{SECRET}@h")
    assert SECRET not in str(caught.value)


async def test_an_unknown_database(database_url: str) -> None:
    assert "does not exist" in await refused(database_url.replace("@/helix_", "@/nosuch_"))


async def test_a_wrong_password(postgres_server: EmbeddedServer) -> None:
    role = f"guarded_{uuid.uuid4().hex[:8]}"
    rules = postgres_server.data / "pg_hba.conf"
    before = rules.read_text()
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login password 'right'").format(sql.Identifier(role)))
        rules.write_text(f"local all {role} scram-sha-256\n{before}")
        connection.execute("select pg_reload_conf()")
        try:
            url = postgres_server.url.replace("postgres@", f"{role}:{SECRET}@")
            assert "password was refused" in await refused(url)
        finally:
            rules.write_text(before)
            connection.execute("select pg_reload_conf()")
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))
