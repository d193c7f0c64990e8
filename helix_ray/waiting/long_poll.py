"""Bounded waiting inside an actor: a caller gets its reply, or learns after a while that there is none yet.

A wait without an end could never be told from a caller that died, and a timeout on the caller's side would leave a ghost
behind that still takes what it asked for. So the waiting ends here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Never, TypeVar

from helix_ray.clock import Clock

Reply = TypeVar("Reply")

MAX_WAIT_S = 30.0
"""Whatever the caller asks for."""


async def within(future: asyncio.Future[Reply], wait_s: float) -> Reply | None:
    """The reply, or None after ``wait_s`` seconds. Not ``wait_for``: a reply that comes with the timeout must not be lost."""
    if not future.done():
        await asyncio.wait((future,), timeout=min(wait_s, MAX_WAIT_S))
    return future.result() if future.done() else None


def resolve(future: asyncio.Future[Reply], reply: Reply) -> None:
    """Wakes the caller; nothing happens when it was cancelled."""
    if not future.done():
        future.set_result(reply)


async def every(clock: Clock, interval_s: float, action: Callable[[], None]) -> Never:
    """Does ``action`` after every interval until cancelled."""
    while True:
        await clock.sleep(interval_s)
        action()
