"""Authorising what the throttle may spend, before it spends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

from helix_ray.actors import peers
from helix_ray.actors.api import SINK, SinkApi
from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import HelixError

log = event_logger(__name__)

Authorise = Callable[[Decimal], Awaitable[Decimal | None]]
"""Commits this total, US dollars, and returns the committed total. None: not now, request it again."""


async def authorise(total_usd: Decimal) -> Decimal | None:
    """Ask the sink, which commits the total and waits while the database is away. None when the sink has given it up."""
    try:
        return await peers.call(SINK, SinkApi.authorise, total_usd)
    except HelixError as error:
        log.warning(Event.ERROR_HANDLED, what="the sink did not authorise", exc_info=error)
        return None


class CostAuthorization:
    """Keeps at most one authorisation request in flight. ``on_authorised`` receives the committed total in US dollars."""

    def __init__(self, authorise: Authorise, on_authorised: Callable[[Decimal], None]) -> None:
        self._authorise = authorise
        self._on_authorised = on_authorised
        self._asking: asyncio.Task[None] | None = None

    def request(self, total_usd: Decimal) -> None:
        """Request this total, unless a request is in flight. Re-raises an error of the last one."""
        if self._asking is not None and self._asking.done():
            self._asking.result()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(total_usd))

    async def _ask(self, total_usd: Decimal) -> None:
        committed_usd = await self._authorise(total_usd)
        self._asking = None  # before the answer is used, which may need more at once
        if committed_usd is not None:
            self._on_authorised(committed_usd)
