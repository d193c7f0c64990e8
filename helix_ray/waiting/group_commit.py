"""Group commit: one write outstanding, and what is added meanwhile shares the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from helix_ray.clock import Clock
from helix_ray.environment.logs import Event, event_logger

log = event_logger(__name__)

Item = TypeVar("Item")


class GroupCommit(Generic[Item]):
    """Hands items to ``write`` in groups, in the order of adding, and begins by itself with the first one.

    An error of ``retry_on`` repeats the write after ``pause_s(attempt)`` seconds, together with what was added meanwhile, for
    as long as it takes. Any other error ends the items of its group: `commit` raises it, and so do `check` and `flush`.
    """

    def __init__(
        self,
        write: Callable[[list[Item]], Awaitable[object]],
        clock: Clock,
        *,
        retry_on: tuple[type[Exception], ...] = (),
        pause_s: Callable[[int], float] = lambda attempt: 0.0,
        linger_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """``linger_s``: how long a group waits for company before it is written."""
        self._write = write
        self._clock = clock
        self._retry_on = retry_on
        self._pause_s = pause_s
        self._linger_s = linger_s
        self._waiting: list[tuple[Item, asyncio.Future[None] | None]] = []
        self._writer: asyncio.Task[None] | None = None
        self._closed: Exception | None = None
        self._error: Exception | None = None

    async def commit(self, item: Item) -> None:
        """Return after the write that held the item. Cancelled, the item may or may not be written."""
        if self._closed is not None:
            raise self._closed
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._enqueue(item, committed)
        await committed

    def add(self, item: Item) -> None:
        """Write the item without a caller that waits for it; see `flush`. Dropped after `close`."""
        if self._closed is None:
            self._enqueue(item, None)

    async def flush(self) -> None:
        """Return when nothing that was added is left to write. Raises as `check` does."""
        while self._writer is not None and not self._writer.done():
            await asyncio.wait((self._writer,))
        self.check()

    def check(self) -> None:
        """Raise the first error of a write that was not repeated, if there was one."""
        if self._error is not None:
            raise self._error

    def close(self, error: Exception) -> None:
        """Give up: `commit` raises ``error``, for items that wait and for later ones. A write under way may still succeed."""
        self._closed = error
        self._end_waiting(error)

    async def stop(self, error: Exception) -> None:
        """Cancel the write; `commit` raises ``error`` for all items that are not written. Idempotent. A later item starts again."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        self._end_waiting(error)

    def _end_waiting(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, []
        _end(waiting, error)

    def _enqueue(self, item: Item, committed: asyncio.Future[None] | None) -> None:
        self._waiting.append((item, committed))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        attempt = 0
        await asyncio.sleep(0)  # callers that are about to add join this group
        while self._waiting:
            if (linger_s := self._linger_s()) > 0:
                await self._clock.sleep(linger_s)
            group, self._waiting = [entry for entry in self._waiting if entry[1] is None or not entry[1].done()], []  # done: cancelled
            if not group:
                continue
            try:
                await self._write([item for item, _ in group])
            except self._retry_on as error:
                log.debug(Event.ERROR_HANDLED, what="a write is repeated", exc_info=error)
                self._waiting = group + self._waiting
                attempt += 1
                if self._closed is None:
                    await self._clock.sleep(self._pause_s(attempt))
                else:
                    self._end_waiting(self._closed)
            except Exception as error:
                attempt = 0
                log.exception(Event.ERROR_HANDLED, what="a write is given up")
                self._error = self._error or error
                _end(group, error)
            except BaseException:
                self._waiting = group + self._waiting  # `stop` ends them
                raise
            else:
                attempt = 0
                _end(group, None)


def _end(group: list[tuple[Item, asyncio.Future[None] | None]], error: Exception | None) -> None:
    for _, committed in group:
        if committed is not None and not committed.done():
            committed.set_result(None) if error is None else committed.set_exception(error)
