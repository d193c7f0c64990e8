"""Requests that are about to be sent, into the ledger on a connection of its own: they never wait behind a batch of reads."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from helix_ray.clock import Clock
from helix_ray.errors import DatabaseLostError, DatabaseUnavailableError, HelixError
from helix_ray.records import ApiCall
from helix_ray.storage.ledger import Ledger

FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 5.0

Waiting = tuple[Sequence[ApiCall], asyncio.Future[None]]


class SinkIntents:
    """Group commit: what comes while a transaction is under way shares the next one.

    It tries again for as long as the database is away; `give_up` ends that when the sink does.
    """

    def __init__(self, run_id: str, ledger: Ledger, clock: Clock) -> None:
        self._run_id = run_id
        self._ledger = ledger
        self._clock = clock
        self._random = random.Random(run_id)  # noqa: S311 (jitter)
        self._waiting: list[Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self._fatal: HelixError | None = None

    async def write(self, calls: Sequence[ApiCall]) -> None:
        """Returns after commit."""
        if self._fatal is not None:
            raise self._fatal
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((calls, committed))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._commit())
        await committed

    def give_up(self, error: HelixError) -> None:
        """Everybody who waits, and whoever comes, is told this error."""
        self._fatal = error
        self._end(self._waiting, error)

    async def stop(self) -> None:
        """Safe twice and before start. Who still waits is told that nothing is sent any more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._end(self._waiting, DatabaseLostError("the sink was stopped"))
        await self._ledger.aclose()

    async def _commit(self) -> None:
        attempt = 0
        while self._waiting and self._fatal is None:
            batch, self._waiting = self._waiting, []
            try:
                await self._ledger.intend(self._run_id, [call for calls, _ in batch for call in calls])
            except (DatabaseLostError, DatabaseUnavailableError):
                self._waiting = batch + self._waiting
                attempt += 1
                ceiling = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(attempt - 1, 10))
                await self._clock.sleep(self._random.uniform(FIRST_RETRY_S / 4, ceiling))
            except HelixError as error:
                self._end(batch, error)
            except BaseException:
                self._waiting = batch + self._waiting
                raise
            else:
                attempt = 0
                for _, committed in batch:
                    if not committed.done():
                        committed.set_result(None)
        if self._fatal is not None:
            self._end(self._waiting, self._fatal)

    def _end(self, waiting: list[Waiting], error: HelixError) -> None:
        for _, committed in waiting:
            if not committed.done():
                committed.set_exception(error)
        if waiting is self._waiting:
            self._waiting = []
