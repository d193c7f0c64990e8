"""The database of a simulated run: statements one by one, a commit, and the outages and lost replies between them.

Rows are those of `MemoryLedger`, which the contract tests hold to the real ledger. A transaction takes effect at its commit, as a
whole, and its check of what may be sent uses the rows as they were at its first statement.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from helix_ray.errors import DatabaseLostError
from simulation.loop import PROCESS
from support.memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from simulation.world import World

STATEMENTS: dict[str, tuple[str, ...]] = {
    "resume_run": ("run_is_free", "resume_run"),
    "claim": ("claim_run",),
    "done_ranges": ("done_ranges",),
    "intend": ("facts_of_reads", "intend_calls", "stored_answers"),
    "on_record": ("on_record",),
    "authorise": ("authorise",),
    "reserved_usd": ("reserved_usd",),
    "spent_usd": ("spent_usd",),
    "taken": ("taken",),
    "close_open_calls": ("close_open_calls", "drop_receipts", "spent_usd", "reserve_what_is_spent"),
    "write_batch": (
        "lock_run", "incoming_calls", "copy_calls", "upsert_calls", "reads_with_rows", "copy_reads", "copy_variants", "add_rows",
        "drop_answered",
    ),
}  # fmt: skip
"""Of each call of the ledger, in the order of the real one: see test_statements.py."""


class Database:
    def __init__(self, world: "World", run_id: str) -> None:
        self.world = world
        self.run_id = run_id
        self.ledger = MemoryLedger()
        self.away = False  # refuses every statement
        self.hung = False  # answers none
        self.lost_replies = 0.0  # share of commits whose reply is lost
        self.refused = 0.0  # share of transactions that end in a serialization error
        self.checked: dict[str, float] = {}  # request -> when the check began that let it pass
        self.inserted: list[list[int]] = []  # reads, by transaction
        self.receipts: dict[str, float] = {}  # call -> when its receipt came on record
        self.rows: dict[int, float] = {}  # read -> when its row was committed

    def commit(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], reads: dict[int, Any], began: float) -> Any:
        run = self.ledger._run(self.run_id)
        known, receipts, rows = {*run.calls}, {*run.receipts}, run.reads
        if method == "intend":
            run.reads = reads
        try:
            reply = _at_once(getattr(self.ledger, method)(*args, **kwargs))
        finally:
            run.reads = rows
        now = self.world.loop.now
        if method == "intend":
            self.checked.update(dict.fromkeys(run.calls.keys() - known, began))
        if method == "write_batch":
            self.inserted.append(reply.inserted)
        for name in run.receipts.keys() - receipts:
            self.receipts[name] = now
        for index in rows:
            self.rows.setdefault(index, now)
        return reply


class Connection:
    """A ledger, as one process of the run sees it. In the place of `PostgresLedger`."""

    def __init__(self, database: Database, statement_timeout_s: float = 5.0) -> None:
        self._database = database
        self._timeout_s = statement_timeout_s
        self._turn = asyncio.Lock()

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            async with self._turn:
                return await self._transaction(method, args, kwargs)

        return call

    async def aclose(self) -> None:
        """Nothing to close."""

    async def _transaction(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        database, world = self._database, self._database.world
        process = PROCESS.get()
        assert process is not None
        reads: dict[int, Any] = {}
        began = world.loop.now
        refused = world.random.random() < database.refused
        for number, name in enumerate(STATEMENTS[method]):
            await world.point(f"{process.name}: {method}, before {name}")
            await self._answer(world.random.uniform(0.0002, 0.001) if number == 0 else 0.0)
            if number == 0 and method == "intend":
                reads = dict(database.ledger._run(database.run_id).reads)
            await world.point(f"{process.name}: {method}, after {name}")
        await self._answer(world.random.uniform(0.0005, 0.01))
        if refused:
            raise DatabaseLostError("PostgreSQL could not finish a transaction: SQLSTATE 40001")
        await world.point(f"{process.name}: {method}, before commit")
        reply = database.commit(method, args, kwargs, reads, began)
        world.note(f"commit {method}")
        await world.point(f"{process.name}: {method}, after commit")
        if world.random.random() < database.lost_replies:
            raise DatabaseLostError("the connection was lost")
        return reply

    async def _answer(self, seconds: float) -> None:
        """The time that a statement takes, or an error while the database is away."""
        database = self._database
        if seconds:
            await asyncio.sleep(seconds)
        if database.hung:
            await asyncio.sleep(self._timeout_s)
            raise DatabaseLostError("PostgreSQL did not finish a transaction")
        if database.away:
            raise DatabaseLostError("the connection was lost")


def _at_once(call: Awaitable[Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        call.send(None)  # type: ignore[attr-defined]
    except StopIteration as done:
        return done.value
    raise AssertionError("the ledger in memory waited")
