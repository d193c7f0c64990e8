"""The ledger for code without an event loop: the driver and the command line, which ask little and seldom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from helix_ray.environment.secrets import Secret
from helix_ray.storage.postgres import PostgresLedger

Value = TypeVar("Value")


def with_ledger(
    url: Secret, use: Callable[[PostgresLedger], Awaitable[Value]], timeout_s: float = 30.0, deadline_s: float | None = None
) -> Value:
    """Run ``use`` with a connection of its own.

    ``timeout_s`` bounds each transaction, ``deadline_s`` the whole, connecting included: TimeoutError. None: no bound.
    """

    async def session() -> Value:
        ledger = await PostgresLedger.connect(url.reveal(), statement_timeout_s=timeout_s)
        try:
            return await use(ledger)
        finally:
            await ledger.aclose()

    return asyncio.run(asyncio.wait_for(session(), deadline_s))
