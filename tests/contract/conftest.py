"""Every store that promises what `Ledger` says."""

from collections.abc import AsyncIterator

import pytest

from helix_ray.storage.ledger import Ledger
from helix_ray.storage.postgres import PostgresLedger
from support.ledger_values import run_row
from support.memory_ledger import MemoryLedger


@pytest.fixture(params=["memory", "postgres"])
async def empty_ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    """Migrated, without a run."""
    made: Ledger = MemoryLedger() if request.param == "memory" else PostgresLedger(request.getfixturevalue("database_url"))
    await made.migrate()
    yield made
    await made.aclose()


@pytest.fixture
async def ledger(empty_ledger: Ledger) -> Ledger:
    await empty_ledger.start_run(run_row())
    return empty_ledger
