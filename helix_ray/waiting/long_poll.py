"""Bounded waits inside an actor: a caller gets its reply, or learns after a while that there is none yet.

Not without an end: such a wait could not be distinguished from a caller that died. Not with a timeout of the caller: the call would go
on in the actor and take what it asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeVar

Reply = TypeVar("Reply")

MAX_WAIT_S = 30.0
"""Upper bound of every wait."""


async def within(future: asyncio.Future[Reply], wait_s: float) -> Reply | None:
    """The reply, or None after ``wait_s`` seconds. Not ``wait_for``: it would drop a reply that arrives with the timeout."""
    if not future.done():
        await asyncio.wait((future,), timeout=min(wait_s, MAX_WAIT_S))
    return future.result() if future.done() else None


def resolve(future: asyncio.Future[Reply], reply: Reply) -> None:
    """Wake the caller, unless it was cancelled."""
    if not future.done():
        future.set_result(reply)


class Waiters:
    """Calls that wait inside an actor, by what each waits for."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[asyncio.Future[None], None]] = {}  # sets that keep their order

    def enter(self, keys: Iterable[str]) -> asyncio.Future[None]:
        """A call that `wake` wakes by any of these keys. It must `leave`."""
        call: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for key in keys:
            self._waiting.setdefault(key, {})[call] = None
        return call

    def leave(self, keys: Iterable[str], call: asyncio.Future[None]) -> None:
        for key in keys:
            calls = self._waiting.get(key, {})
            calls.pop(call, None)
            if not calls:
                self._waiting.pop(key, None)

    def wake(self, key: str) -> None:
        for call in self._waiting.get(key, ()):
            resolve(call, None)
