"""Errors of PostgreSQL become ours: what to do, in our own words."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from helix_ray.errors import DatabaseUnavailableError
from helix_ray.storage import postgres
from helix_ray.storage.failures import Failure, advice, classify, connect_advice
from helix_ray.storage.postgres_session import PostgresSession

FIT = {
    "version": "16.2",
    "version_number": 160_002,
    "read_only": False,
    "may_create": True,
    "may_use_temporary": True,
    "schema_exists": False,
    "migrated": False,
    "encoding": "UTF8",
}


@pytest.mark.parametrize(
    ("sqlstate", "failure"),
    [
        (None, Failure.TRANSIENT),
        ("08006", Failure.TRANSIENT),
        ("57P01", Failure.TRANSIENT),
        ("57014", Failure.TRANSIENT),
        ("40001", Failure.TRANSIENT),
        ("40P01", Failure.TRANSIENT),
        ("55P03", Failure.TRANSIENT),
        ("53100", Failure.TRANSIENT),
        ("25006", Failure.TRANSIENT),
        ("28P01", Failure.PERMANENT),
        ("3D000", Failure.PERMANENT),
        ("42P01", Failure.PERMANENT),
        ("42501", Failure.PERMANENT),
        ("23503", Failure.PERMANENT),
        ("22P05", Failure.ROW),
        ("22021", Failure.ROW),
        ("23514", Failure.ROW),
        ("54000", Failure.ROW),
    ],
)
def test_what_to_do_about_an_error(sqlstate: str | None, failure: Failure) -> None:
    assert classify(sqlstate) is failure
    assert advice(sqlstate)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ('FATAL:  password authentication failed for user "u"', "password was refused"),
        ("connection failed: Connection refused\n\tIs the server running", "nothing listens there"),
        ("failed to resolve host 'h'", "host name is unknown"),
        ('FATAL:  database "d" does not exist', "the database does not exist"),
        ('root certificate file "/ca" does not exist', "the TLS handshake failed"),
        ('FATAL:  role "u" does not exist', "the role does not exist"),
        ('FATAL:  role "u" is not permitted to log in', "the role does not exist or was refused"),
        ('FATAL:  database "rolebook" does not exist', "the database does not exist"),
        ("connection timeout expired", "no answer in time"),
        ("something with hunter2 in it", "the connection failed"),
    ],
)
def test_why_a_connection_could_not_be_made(words: str, expected: str) -> None:
    found = connect_advice(None, words)
    assert expected in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version_number": 130_014, "version": "13.14"}, "13.14 is too old; version 14"),
        ({"read_only": True}, "read-only"),
        ({"encoding": "LATIN1"}, "encoding LATIN1"),
        ({"may_use_temporary": False}, "GRANT TEMPORARY"),
        ({"may_create": False}, "GRANT CREATE"),
    ],
)
def test_unfit_servers_are_refused(changes: dict[str, Any], words: str) -> None:
    postgres.refuse_unfit(FIT)
    with pytest.raises(DatabaseUnavailableError, match=words):
        postgres.refuse_unfit({**FIT, **changes})


class Pooler:
    """A pooler with server processes 1, 2, 3, …: the one given back last is handed out first."""

    def __init__(self, *, by_transaction: bool) -> None:
        self.by_transaction = by_transaction
        self.free = [3, 2, 1]


class PooledSession:
    def __init__(self, pooler: Pooler, announced: int) -> None:
        self._pooler = pooler
        self._announced = announced
        self._own: int | None = None

    async def announced_pid(self) -> int:
        return self._announced

    async def run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        if self._own is None:
            self._own = self._pooler.free.pop()
        answer = self._own

        class Transaction:
            async def rows(self, query: bytes) -> list[dict[str, int]]:
                return [{"pid": answer}]

        result = None
        try:
            result = await work(Transaction())
        finally:
            if self._pooler.by_transaction:
                self._pooler.free.append(self._own)
                self._own = None
        return result


async def test_a_pooler_in_transaction_mode_is_refused() -> None:
    pooler = Pooler(by_transaction=True)
    with pytest.raises(DatabaseUnavailableError, match="transaction mode"):
        await postgres.refuse_transaction_pooler(*(cast(PostgresSession, PooledSession(pooler, 90 + number)) for number in range(2)))


async def test_a_pooler_in_session_mode_passes() -> None:
    pooler = Pooler(by_transaction=False)
    await postgres.refuse_transaction_pooler(*(cast(PostgresSession, PooledSession(pooler, 90 + number)) for number in range(2)))


async def test_without_a_pooler_one_question_is_enough() -> None:
    first = cast(PostgresSession, PooledSession(Pooler(by_transaction=False), 1))
    await postgres.refuse_transaction_pooler(first, cast(PostgresSession, None))
