"""Putting on record what the throttle may spend, before it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

from helix_ray.actors import peers
from helix_ray.actors.api import SINK, SinkApi
from helix_ray.errors import HelixError

Authorise = Callable[[Decimal], Awaitable[Decimal | None]]
"""Puts this total, US dollars, on record; what is on record then. None: not now, ask again."""


async def on_record(total_usd: Decimal) -> Decimal | None:
    """Asks the sink, which commits it. While the database is away that takes as long; None once the sink has given it up."""
    try:
        return await peers.call(SINK, SinkApi.authorise, total_usd)
    except HelixError:
        return None


class Authority:
    """One question outstanding; ``heard`` takes the answer. An error of ``authorise`` is raised by `check`."""

    def __init__(self, authorise: Authorise, heard: Callable[[Decimal], None]) -> None:
        self._authorise = authorise
        self._heard = heard
        self._asking: asyncio.Task[None] | None = None

    def need(self, total_usd: Decimal) -> None:
        if self._asking is None or self._asking.done():
            self.check()
            self._asking = asyncio.create_task(self._ask(total_usd))

    def check(self) -> None:
        if self._asking is not None and self._asking.done():
            self._asking.result()

    async def _ask(self, total_usd: Decimal) -> None:
        on_record = await self._authorise(total_usd)
        self._asking = None
        if on_record is not None:
            self._heard(on_record)
