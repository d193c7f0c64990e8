"""The statements of each call, as they reach PostgreSQL: those that the simulation in tests/simulation walks through."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from helix_ray.records import CallState, Disposition, Intent, ReadResult, Receipt
from helix_ray.storage.postgres import PostgresLedger
from helix_ray.storage.postgres_session import PostgresTransaction
from helix_ray.storage.statements import statements
from simulation.database import STATEMENTS
from support.ledger_values import RUN_ID, START, call, run_row
from support.list_source import sample_read

NAMES = {query: name for file in ("session", "writing", "money", "reading") for name, query in statements(file).items()}
INTENT = Intent(call(1, [1], CallState.INTENDED, created_at=START, status=None, latency_ms=None))
AGAIN = Intent(call(2, [1], CallState.INTENDED, created_at=START, status=None, latency_ms=None))


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    def recorded(real: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: PostgresTransaction, query: bytes, *args: Any) -> Any:
            found.append(NAMES[query])
            return real(self, query, *args)

        return method

    for name in ("rows", "stream", "execute", "copy"):
        monkeypatch.setattr(PostgresTransaction, name, recorded(getattr(PostgresTransaction, name)))
    return found


async def test_the_simulated_statements_are_the_real_ones(database_url: str, executed: list[str]) -> None:
    ledger = await PostgresLedger.connect(database_url)
    await ledger.start_run(run_row())
    receipt = Receipt(INTENT.call.call_id, [1], START, 200, b"{}")
    result = ReadResult(sample_read(1), Disposition.STORED, call_id=INTENT.call.call_id)
    calls: dict[str, tuple[Any, ...]] = {
        "resume_run": (run_row(),),
        "claim": (),
        "on_record": ([INTENT.call.call_id],),
        "authorise": (Decimal(1),),
        "reserved_usd": (),
        "spent_usd": (),
        "done_ranges": (),
        "write_batch": ([result], [call(1, [1])]),
        "close_open_calls": (),
    }
    await ledger.intend(RUN_ID, [INTENT], [receipt])
    executed.clear()
    try:
        await ledger.intend(RUN_ID, [AGAIN], [receipt])  # is refused, and gets the answer
        assert tuple(executed) == STATEMENTS["intend"]
        for method, args in calls.items():
            executed.clear()
            await getattr(ledger, method)(RUN_ID, *args)
            assert tuple(executed) == STATEMENTS[method], method
        executed.clear()
        await ledger.taken("m", None, True)
        assert tuple(executed) == STATEMENTS["taken"]
    finally:
        await ledger.aclose()
    assert calls.keys() | {"intend", "taken"} == STATEMENTS.keys()
