"""PostgreSQL, and the only importer of psycopg: a session with a deadline of its own, and the ledger built on it.

A timeout of the server or of libpq does not end a call to a hung backend, and psycopg waits five more seconds for the
cancellation that it sends. Here an overdue call has its socket shut down under it, which ends it at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

from helix_ray.errors import DatabaseLostError, DatabaseUnavailableError, InvariantError, RunBusyError
from helix_ray.records import ApiCall, ControlEvent, ControlOutcome, JsonObject, PastUse, Read, ReadResult, RunStatus
from helix_ray.scoring.scores import RunScores
from helix_ray.storage import batches, failures, migrating, money, preflight, reading, scores, writing
from helix_ray.storage.claims import busy_message, patiently
from helix_ray.storage.failures import Failure
from helix_ray.storage.ledger import Agreement, LedgerFacts, RecentRow, RunCounts, RunRow, StoredRun, WriteOutcome
from helix_ray.storage.session import Rejected, T, Transaction
from helix_ray.storage.statements import statements

CONNECT_TIMEOUT_S = 8.0
"""For names, every address and the server's greeting together, so that a wrong URL is told within ten seconds."""

CUT_GRACE_S = 2.0
"""For psycopg to notice that its socket was shut down; it takes milliseconds."""

Connection = psycopg.AsyncConnection[dict[str, Any]]


class PostgresTransaction:
    """`Transaction` on a psycopg connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def rows(self, query: bytes, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        cursor = await self._connection.execute(query, params)
        return await cursor.fetchall()

    async def execute(self, query: bytes, params: Mapping[str, Any] | None = None) -> int:
        return (await self._connection.execute(query, params)).rowcount

    async def script(self, sql: bytes) -> None:
        await self._connection.execute(sql)

    async def copy(self, query: bytes, rows: Iterable[tuple[Any, ...]]) -> None:
        async with self._connection.cursor() as cursor, cursor.copy(query) as copy:
            for row in rows:
                await copy.write_row(row)


class PostgresSession:
    """`Session` on one psycopg connection. ``statement_timeout_s`` bounds each transaction, here and on the server."""

    def __init__(self, url: str, statement_timeout_s: float) -> None:
        self._url = url
        self._deadline_s = statement_timeout_s
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._claim: str | None = None  # the run that every connection of this session claims

    async def open(self) -> None:
        """Connects now rather than at the first call."""
        async with self._turn:
            await self._open()

    async def claim(self, run_id: str) -> None:
        """As `Ledger.claim`."""
        async with self._turn:
            connection = await self._open()
            self._claim, self._connection = run_id, None  # whatever comes, nothing is written on a connection without its claim
            if not await self._claim_or_close(connection, run_id):
                raise RunBusyError(busy_message(run_id))
            self._connection = connection

    async def attempt(self, work: Callable[[Transaction], Awaitable[T]]) -> T | Rejected:
        async with self._turn:
            connection = await self._open()

            async def transact() -> T:
                async with connection.transaction():
                    return await work(PostgresTransaction(connection))

            return await self._bounded(connection, transact())

    async def run(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        result = await self.attempt(work)
        if isinstance(result, Rejected):
            raise InvariantError(f"PostgreSQL refused a statement of helix_ray: {result.reason}")
        return result

    async def announced_pid(self) -> int:
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
            claimed = await patiently(claim)
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
            task.exception()  # looked at, so that asyncio does not report it as forgotten
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
            self._connection = None
            await connection.close()
        raise DatabaseLostError(f"PostgreSQL could not finish a transaction: {failures.advice(sqlstate)}") from None


async def _connect(url: str, statement_timeout_s: float) -> Connection:
    connection: Connection = await psycopg.AsyncConnection.connect(
        url,
        autocommit=True,  # transactions are opened where they are meant
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
    except psycopg.Error:
        raise DatabaseUnavailableError(
            "DATABASE_URL is not a connection string of PostgreSQL: postgresql://user@host:port/database"
        ) from None
    return {option.envvar.decode(): option.val.decode() for option in options if option.envvar and option.val is not None}


class PostgresLedger:
    """`Ledger` in schema ``helix`` of a PostgreSQL database. Nothing is connected until `open` or the first call."""

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
            await preflight.refuse_transaction_pooler(self._session, second)
            return await preflight.inspect(self._session)
        except DatabaseLostError as error:  # before the start there is nothing to lose yet
            raise DatabaseUnavailableError(str(error)) from None
        finally:
            await second.aclose()

    async def migrate(self) -> int:
        try:
            return await migrating.migrate(self._session)
        except DatabaseLostError as error:
            raise DatabaseUnavailableError(str(error)) from None

    async def start_run(self, run: RunRow) -> None:
        await writing.start_run(self._session, run)

    async def load_run(self, run_id: str) -> StoredRun | None:
        return await reading.load_run(self._session, run_id)

    async def resume_run(self, run_id: str, row: RunRow) -> None:
        await writing.resume_run(self._session, run_id, row)

    async def claim(self, run_id: str) -> None:
        await self._session.claim(run_id)

    async def finish_run(self, run_id: str, status: RunStatus, totals: JsonObject) -> None:
        await writing.finish_run(self._session, run_id, status, totals)

    async def done_ranges(self, run_id: str) -> list[tuple[int, int]]:
        return await reading.done_ranges(self._session, run_id)

    async def write_batch(self, run_id: str, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> WriteOutcome:
        return await batches.write_batch(self._session, run_id, results, calls)

    async def counts(self, run_id: str) -> RunCounts:
        return await reading.counts(self._session, run_id)

    async def intend(self, run_id: str, calls: Sequence[ApiCall]) -> None:
        await money.intend(self._session, run_id, calls)

    async def authorise(self, run_id: str, total_usd: Decimal) -> Decimal:
        return await money.authorise(self._session, run_id, total_usd)

    async def reserved_usd(self, run_id: str) -> Decimal:
        return await money.reserved_usd(self._session, run_id)

    async def close_open_calls(self, run_id: str) -> Decimal:
        return await money.close_open_calls(self._session, run_id)

    async def spent_usd(self, run_id: str, but_epoch: str | None = None) -> Decimal:
        return await money.spent_usd(self._session, run_id, but_epoch)

    async def taken(self, model: str, simulated: bool) -> list[PastUse]:
        return await money.taken(self._session, model, simulated)

    async def scores(self, run_id: str) -> RunScores:
        return await scores.scores(self._session, run_id)

    async def agreement(self, run_id: str) -> Agreement:
        return await reading.agreement(self._session, run_id)

    async def read_reads(self, run_id: str, after_index: int, limit: int) -> list[Read]:
        return await reading.read_reads(self._session, run_id, after_index, limit)

    async def read_results(self, run_id: str, after_index: int, limit: int) -> list[ReadResult]:
        return await reading.read_results(self._session, run_id, after_index, limit)

    async def controls(self, run_id: str) -> list[tuple[ControlEvent, ControlOutcome]]:
        return await reading.controls(self._session, run_id)

    async def record_control(self, run_id: str, event: ControlEvent) -> bool:
        return await writing.record_control(self._session, run_id, event)

    async def mark_control(self, request_id: str, outcome: ControlOutcome) -> None:
        await writing.mark_control(self._session, request_id, outcome)

    async def recent_reads(self, run_id: str, limit: int) -> list[RecentRow]:
        return await reading.recent(self._session, run_id, limit, alerts_only=False)

    async def recent_alerts(self, run_id: str, limit: int) -> list[RecentRow]:
        return await reading.recent(self._session, run_id, limit, alerts_only=True)

    async def aclose(self) -> None:
        await self._session.aclose()
