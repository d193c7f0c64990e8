"""A clock that stands still until a test moves it."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)

SETTLE_TURNS = 20
"""Turns of the event loop given to woken tasks before time moves on."""


async def turns(count: int = 30) -> None:
    """Let every task that is ready run, as often as the event loop turns ``count`` times."""
    for _ in range(count):
        await asyncio.sleep(0)


class ManualClock:
    """A `Clock` whose sleepers wake in order of their deadlines, each at exactly its own time."""

    def __init__(self, start_s: float = 1000.0) -> None:
        self._start_s = start_s
        self._now_s = start_s
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self._arrived = asyncio.Event()

    def monotonic(self) -> float:
        return self._now_s

    def now(self) -> datetime:
        return START + timedelta(seconds=self._now_s - self._start_s)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now_s + seconds, self._count, future))
        self._arrived.set()
        await future

    @property
    def sleepers(self) -> int:
        return sum(not future.done() for _, _, future in self._sleepers)

    async def until_sleeping(self, count: int = 1) -> None:
        """Returns when at least ``count`` tasks sleep on this clock."""
        while self.sleepers < count:
            self._arrived.clear()
            await self._arrived.wait()

    def tick(self, seconds: float) -> None:
        """Moves the time and wakes nobody before the event loop turns: for code that does not await."""
        self._now_s += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now_s:
            self._wake_next()

    async def advance(self, seconds: float) -> None:
        """Moves the time, stopping at every sleeper's deadline to let it run."""
        target = self._now_s + seconds
        await turns(SETTLE_TURNS)
        while self._sleepers and self._sleepers[0][0] <= target:
            self._now_s = self._sleepers[0][0]
            self._wake_next()
            await turns(SETTLE_TURNS)
        self._now_s = target

    def _wake_next(self) -> None:
        _, _, future = heapq.heappop(self._sleepers)
        if not future.done():
            future.set_result(None)
