"""The ledger for callers that block: one connection, one question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from helix_ray.secrets import Secret
from helix_ray.storage.postgres import PostgresLedger

Value = TypeVar("Value")


def with_ledger(url: Secret, use: Callable[[PostgresLedger], Awaitable[Value]], timeout_s: float = 30.0) -> Value:
    """Runs ``use`` with a connection of its own: for the driver, which asks little and seldom."""

    async def session() -> Value:
        ledger = await PostgresLedger.connect(url.reveal(), statement_timeout_s=timeout_s)
        try:
            return await use(ledger)
        finally:
            await ledger.aclose()

    return asyncio.run(session())
