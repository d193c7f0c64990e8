"""Calls that wait inside an actor, by what each waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from helix_ray.waiting.long_poll import resolve


class Waiters:
    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, keys: Iterable[str]) -> asyncio.Future[None]:
        """A call that `wake` wakes by any of these keys. It must `leave`."""
        call: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for key in keys:
            self._waiting.setdefault(key, set()).add(call)
        return call

    def leave(self, keys: Iterable[str], call: asyncio.Future[None]) -> None:
        for key in keys:
            calls = self._waiting.get(key, set())
            calls.discard(call)
            if not calls:
                self._waiting.pop(key, None)

    def wake(self, key: str) -> None:
        for call in self._waiting.get(key, ()):
            resolve(call, None)
