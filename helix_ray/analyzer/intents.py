"""Requests on their way to the record before they are sent: many at a time, one write outstanding."""

from __future__ import annotations

import asyncio

from helix_ray.analyzer.ports import SinkPort
from helix_ray.clock import Clock
from helix_ray.errors import HelixError
from helix_ray.records import ApiCall

RETRY_S = 1.0


class Intents:
    """Requests that come while a write is under way share the next one."""

    def __init__(self, sink: SinkPort, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._waiting: list[tuple[ApiCall, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._pending = 0
        self._waited_s = 0.0
        self._noted_at = clock.monotonic()

    async def record(self, call: ApiCall) -> None:
        """Returns when the call is committed, as long as that takes. Cancelled, it may or may not be."""
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, committed))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        self._note(1)
        try:
            await committed
        finally:
            self._note(-1)

    @property
    def waited_s(self) -> float:
        """Seconds that requests waited so far, added up; those that still wait included."""
        self._note(0)
        return self._waited_s

    def _note(self, change: int) -> None:
        now = self._clock.monotonic()
        self._waited_s += self._pending * (now - self._noted_at)
        self._noted_at = now
        self._pending += change

    async def _write(self) -> None:
        await asyncio.sleep(0)  # whoever is about to send joins this write
        while batch := [item for item in self._waiting if not item[1].done()]:
            self._waiting.clear()
            try:
                await self._sink.intend([call for call, _ in batch])
            except (HelixError, ConnectionError, TimeoutError):
                self._waiting = batch + self._waiting
                await self._clock.sleep(RETRY_S)
                continue
            except BaseException as error:
                self._fail([*batch, *self._waiting], error)
                raise
            for _, committed in batch:
                if not committed.done():
                    committed.set_result(None)

    def _fail(self, items: list[tuple[ApiCall, asyncio.Future[None]]], error: BaseException) -> None:
        self._waiting = []
        for _, committed in items:
            if not committed.done():
                committed.set_exception(error)
