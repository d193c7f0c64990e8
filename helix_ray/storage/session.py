"""What the rest of storage sees of a connection: rows in, rows out. `postgres` implements it; psycopg stays in there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class Rejected(NamedTuple):
    """The server or the client library refused the data of a statement: a row's fault, not the connection's."""

    reason: str  # without the data itself


class Transaction(Protocol):
    """Statements within one transaction."""

    async def rows(self, query: bytes, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]: ...

    async def execute(self, query: bytes, params: Mapping[str, Any] | None = None) -> int:
        """The number of rows touched."""

    async def script(self, sql: bytes) -> None:
        """Several statements without parameters."""

    async def copy(self, query: bytes, rows: Iterable[tuple[Any, ...]]) -> None: ...


class Session(Protocol):
    """One connection, made when first needed and again after it was lost; its transactions take turns."""

    async def attempt(self, work: Callable[[Transaction], Awaitable[T]]) -> T | Rejected:
        """``work`` in one transaction, within the session's deadline.

        DatabaseLostError when the outcome is not known or the server cannot answer now, DatabaseUnavailableError when
        asking again would not help.
        """

    async def run(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """As `attempt`, where no row of the user's is involved: a refusal is an InvariantError."""

    async def announced_pid(self) -> int:
        """The server process as the connection's start-up message named it; a pooler names one of its own."""
