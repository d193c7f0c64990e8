"""Calls to a database that may be away for a while."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from helix_ray.clock import Clock
from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import DatabaseLostError, DatabaseUnavailableError
from helix_ray.waiting.backoff import backoff_s

log = event_logger(__name__)

AWAY = (DatabaseLostError, DatabaseUnavailableError)
FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 5.0

Answer = TypeVar("Answer")


class Outages:
    """Repeats calls while the database is away, for ``timeout_s`` at most. ``seed`` is that of the jitter."""

    def __init__(self, timeout_s: float, clock: Clock, seed: str, connection: str = "rows") -> None:
        """``connection`` names it in the log."""
        self._connection = connection
        self.retries = 0
        self.last_error: str | None = None
        self._timeout_s = timeout_s
        self._clock = clock
        self._random = random.Random(seed).random  # noqa: S311 (jitter)
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the first unanswered call; 0: the database answers."""
        return 0.0 if self._since is None else self._clock.monotonic() - self._since

    def pause_s(self, attempt: int) -> float:
        return backoff_s(attempt, FIRST_RETRY_S, LONGEST_RETRY_S, self._random, least=FIRST_RETRY_S / 4)

    async def through(self, ask: Callable[[], Awaitable[Answer]]) -> tuple[Answer, int]:
        """The database's answer and the number of attempts. Raises DatabaseLostError after ``timeout_s``."""
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = await ask()
            except AWAY as error:
                self.failed(error)
                await self._clock.sleep(self.pause_s(attempt))
            else:
                self.answered()
                return answer, attempt

    def failed(self, error: Exception) -> None:
        """A call met an outage. Raises DatabaseLostError when it has lasted for ``timeout_s``."""
        if self._since is None:
            self._since = self._clock.monotonic()
            log.warning(Event.OUTAGE_BEGAN, connection=self._connection, exc_info=error)
        self.last_error = str(error)
        self.retries += 1
        if self.seconds >= self._timeout_s:
            raise DatabaseLostError(f"the database did not come back within {self._timeout_s:g} s: {error}") from None

    def answered(self) -> None:
        if self._since is not None:
            log.warning(Event.OUTAGE_ENDED, connection=self._connection, outage_s=round(self.seconds, 1))
        self._since = None
