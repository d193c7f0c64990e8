"""One process writes a run: it holds a lock of the database that ends with its connection, so no claim outlives its holder.

HELIX_HOME has a lock of its own; this one is for two homes, or two machines, with one database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_S = 15.0
"""For a predecessor that is just ending: its server process notices within moments that the client is gone."""

PAUSE_S = 0.25


async def patiently(claim: Callable[[], Awaitable[bool]]) -> bool:
    """Whether ``claim`` succeeded within PATIENCE_S; it is tried once at least."""
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_S
    while not await claim():
        if loop.time() >= until:
            return False
        await asyncio.sleep(PAUSE_S)
    return True


def busy_message(run_id: str) -> str:
    return f"run {run_id} is written by another process; stop that one first, or wait for its end"
