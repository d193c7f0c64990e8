"""One connection to PostgreSQL with a deadline of its own, and the SQL that it runs: rows in, rows out. psycopg stays in here.

A timeout of the server or of libpq does not end a call to a hung backend, and psycopg waits five more seconds for the
cancellation that it sends. Here an overdue call has its socket shut down under it, which ends it at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, BinaryIO, NamedTuple, TypeVar

import psycopg
from psycopg.rows import dict_row

from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import DatabaseLostError, DatabaseUnavailableError, InvariantError, RunBusyError
from helix_ray.native import rust
from helix_ray.storage import failures
from helix_ray.storage.failures import Failure
from helix_ray.storage.statements import statements

log = event_logger(__name__)

CONNECT_TIMEOUT_S = 8.0
"""For names, every address and the server's greeting together, so that a wrong URL is reported within ten seconds."""

CUT_GRACE_S = 2.0
"""For psycopg to notice that its socket was shut down; it takes milliseconds."""

CLAIM_TIMEOUT_S = 15.0
"""For a predecessor that is just ending: its server process notices within moments that the client is gone."""

CLAIM_PAUSE_S = 0.25

PAGE_ROWS = 2000
"""Of a stream, in one answer of the server."""

Connection = psycopg.AsyncConnection[dict[str, Any]]
Rows = list[dict[str, Any]]
Params = Mapping[str, Any]
T = TypeVar("T")


class Rejected(NamedTuple):
    """The server or the client library refused the data of a statement: a row's fault, not the connection's."""

    reason: str  # without the data itself


class PostgresTransaction:
    """Statements within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def rows(self, query: bytes, params: Params | None = None) -> Rows:
        cursor = await self._connection.execute(query, params)
        return await cursor.fetchall()

    async def stream(self, query: bytes, params: Params | None = None) -> AsyncIterator[dict[str, Any]]:
        """As `rows`, a page at a time: the rows need not fit into memory."""
        async with self._connection.cursor(name="stream") as cursor:
            cursor.itersize = PAGE_ROWS
            await cursor.execute(query, params)
            async for row in cursor:
                yield row

    async def execute(self, query: bytes, params: Params | None = None) -> int:
        """The number of rows touched. Without ``params``, ``query`` may be several statements."""
        return (await self._connection.execute(query, params)).rowcount

    async def copy(self, query: bytes, rows: Iterable[tuple[Any, ...]]) -> None:
        """See `rust.copy_text`."""
        text = rust.copy_text(rows)
        async with self._connection.cursor() as cursor, cursor.copy(query) as copy:
            await copy.write(text)

    async def copy_out(self, query: bytes, params: Params, out: BinaryIO) -> None:
        """What a ``copy … to stdout`` says, block by block."""
        async with self._connection.cursor() as cursor, cursor.copy(query, params) as copy:
            async for block in copy:
                out.write(block)


Work = Callable[[PostgresTransaction], Awaitable[T]]


class PostgresSession:
    """One connection, made when first needed and again after it was lost; its transactions take turns.

    ``statement_timeout_s`` bounds each transaction, here and on the server.
    """

    def __init__(self, url: str, statement_timeout_s: float) -> None:
        self._url = url
        self._deadline_s = statement_timeout_s
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._claim: str | None = None  # the run that every connection of this session claims

    async def open(self) -> None:
        """Connect now rather than at the first call."""
        async with self._turn:
            await self._open()

    async def claim(self, run_id: str) -> None:
        """As `Ledger.claim`: a lock of the database that ends with its connection, so no claim outlives its holder.

        HELIX_HOME has a lock of its own; this one is for two homes, or two machines, with one database.
        """
        async with self._turn:
            connection = await self._open()
            self._claim, self._connection = run_id, None  # whatever comes, nothing is written on a connection without its claim
            if not await self._claim_or_close(connection, run_id):
                raise RunBusyError(busy_message(run_id))
            self._connection = connection

    async def attempt(self, work: Work[T]) -> T | Rejected:
        """``work`` in one transaction, within the session's deadline.

        DatabaseLostError when the outcome is not known or the server cannot answer now, DatabaseUnavailableError when
        asking again would not help.
        """
        async with self._turn:
            connection = await self._open()

            async def transact() -> T:
                async with connection.transaction():
                    return await work(PostgresTransaction(connection))

            return await self._bounded(connection, transact())

    async def run(self, work: Work[T]) -> T:
        """As `attempt`, where no row of the user's is involved: a refusal is an InvariantError."""
        result = await self.attempt(work)
        if isinstance(result, Rejected):
            raise InvariantError(f"PostgreSQL refused a statement of helix_ray: {result.reason}")
        return result

    async def rows(self, file: str, name: str, params: Params | None = None) -> Rows:
        """One statement of `statements` in a transaction of its own, as `run`."""
        query = statements(file)[name]
        return await self.run(lambda transaction: transaction.rows(query, params))

    async def execute(self, file: str, name: str, params: Params | None = None) -> int:
        """As `rows`; the number of rows touched."""
        query = statements(file)[name]
        return await self.run(lambda transaction: transaction.execute(query, params))

    async def announced_pid(self) -> int:
        """The server process as the connection's start-up message named it; a pooler names one of its own."""
        async with self._turn:
            return (await self._open()).info.backend_pid

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _open(self) -> Connection:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        self._connection = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await _connect(self._url, self._deadline_s)
        except TimeoutError:
            raise DatabaseUnavailableError(
                f"PostgreSQL did not answer within {CONNECT_TIMEOUT_S:g} s; check host, port and firewall"
            ) from None
        except psycopg.ProgrammingError as error:
            raise DatabaseUnavailableError(f"DATABASE_URL cannot be read: {failures.address_advice(str(error))}") from None
        except psycopg.Error as error:
            # Not chained: libpq's message may repeat the connection string.
            reason = failures.connect_advice(error.sqlstate, str(error))
            raise DatabaseUnavailableError(f"PostgreSQL cannot be used: {reason}") from None
        if self._claim is not None and not await self._claim_or_close(connection, self._claim):
            # Most likely it is held by our own last connection, whose end the server has not noticed yet.
            raise DatabaseLostError(busy_message(self._claim))
        self._connection = connection
        return connection

    async def _claim_or_close(self, connection: Connection, run_id: str) -> bool:
        transaction = PostgresTransaction(connection)

        async def attempt() -> bool:
            return bool((await transaction.rows(statements("session")["claim_run"], {"run_id": run_id}))[0]["claimed"])

        async def claim() -> bool:
            return await self._bounded(connection, attempt()) is True

        claimed = False
        try:
            claimed = await until_claimed(claim)
        finally:
            if not claimed:
                await connection.close()
        return claimed

    async def _bounded(self, connection: Connection, call: Awaitable[T]) -> T | Rejected:
        task = asyncio.ensure_future(call)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._deadline_s)
        except asyncio.CancelledError:
            await self._cut(connection, task)
            raise
        if not done:
            await self._cut(connection, task)
            raise DatabaseLostError(f"PostgreSQL did not finish a transaction within {self._deadline_s:g} s; the connection was closed")
        try:
            return task.result()
        except (psycopg.Error, UnicodeEncodeError, OverflowError) as error:
            return await self._judge(connection, error)

    async def _cut(self, connection: Connection, task: asyncio.Future[T]) -> None:
        """Ends an overdue call by ending its socket. A cancellation would wait for the server."""
        self._connection = None
        if not connection.closed:
            duplicate = socket.socket(fileno=os.dup(connection.fileno()))
            with duplicate:
                try:
                    duplicate.shutdown(socket.SHUT_RDWR)
                except OSError:
                    connection.pgconn.finish()  # the peer was faster
        await asyncio.wait({task}, timeout=CUT_GRACE_S)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CUT_GRACE_S)
        if task.done() and not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not report it
        await connection.close()

    async def _judge(self, connection: Connection, error: Exception) -> Rejected:
        if not isinstance(error, psycopg.Error):
            return Rejected(f"cannot be encoded: {type(error).__name__}")
        sqlstate = error.sqlstate
        if sqlstate is None and isinstance(error, psycopg.DataError | psycopg.ProgrammingError) and not connection.closed:
            return Rejected(f"cannot be encoded: {error}")
        kind = failures.classify(sqlstate)
        if kind is Failure.ROW:
            diagnosis = error.diag
            named = diagnosis.constraint_name or diagnosis.column_name
            return Rejected(f"SQLSTATE {sqlstate}{f' ({named})' if named else ''}: {diagnosis.message_primary}")
        if kind is Failure.PERMANENT:
            raise DatabaseUnavailableError(f"PostgreSQL refused: {failures.advice(sqlstate)}") from None
        if sqlstate is None or sqlstate.startswith(("08", "57P")):
            log.warning(Event.ERROR_HANDLED, what="a connection is found lost", sqlstate=sqlstate, said=str(error).strip())
            self._connection = None
            await connection.close()
        raise DatabaseLostError(f"PostgreSQL could not finish a transaction: {failures.advice(sqlstate)}") from None


async def _connect(url: str, statement_timeout_s: float) -> Connection:
    connection: Connection = await psycopg.AsyncConnection.connect(
        url,
        autocommit=True,  # transactions are opened where they are meant
        prepare_threshold=None,  # a plan that was kept from when the tables were small would scan the whole run
        row_factory=dict_row,
        connect_timeout=max(2, int(CONNECT_TIMEOUT_S) - 1),
        application_name="helix-throttle",
        client_encoding="UTF8",
        keepalives_idle=10,
    )
    settings = {"timeout_ms": str(int(statement_timeout_s * 1000)), "idle_ms": str(int(statement_timeout_s * 2000))}
    try:
        await connection.execute(statements("session")["settings"], settings)
    except BaseException:
        await connection.close()
        raise
    return connection


def libpq_environment(url: str) -> dict[str, str]:
    """A connection string as libpq's environment variables, so that its password is on no command line."""
    try:
        options = psycopg.pq.Conninfo.parse(url.encode())
    except psycopg.Error as error:
        raise DatabaseUnavailableError(f"DATABASE_URL cannot be read: {failures.address_advice(str(error))}") from None
    return {option.envvar.decode(): option.val.decode() for option in options if option.envvar and option.val is not None}


async def until_claimed(claim: Callable[[], Awaitable[bool]]) -> bool:
    """Whether ``claim`` succeeded within CLAIM_TIMEOUT_S; it is tried at least once."""
    loop = asyncio.get_running_loop()
    until = loop.time() + CLAIM_TIMEOUT_S
    while not await claim():
        if loop.time() >= until:
            return False
        await asyncio.sleep(CLAIM_PAUSE_S)
    return True


def busy_message(run_id: str) -> str:
    return f"run {run_id} is written by another process; stop that one first, or wait for its end"
