"""Requests on record before they are sent: many at a time, one write outstanding."""

from __future__ import annotations

from helix_ray.analyzer.ports import SinkPort
from helix_ray.clock import Clock
from helix_ray.errors import HelixError
from helix_ray.records import ApiCall
from helix_ray.waiting.group_commit import GroupCommit

RETRY_ON = (HelixError, ConnectionError, TimeoutError)
RETRY_S = 1.0


class Intents:
    """Records requests and measures how long they wait for it."""

    def __init__(self, sink: SinkPort, clock: Clock) -> None:
        self._commits: GroupCommit[ApiCall] = GroupCommit(sink.intend, clock, retry_on=RETRY_ON, pause_s=lambda attempt: RETRY_S)
        self._clock = clock
        self._pending = 0
        self._waited_s = 0.0
        self._noted_at = clock.monotonic()

    async def record(self, call: ApiCall) -> None:
        """Return when the call is committed, as long as that takes. Cancelled, it may or may not be."""
        self._note(1)
        try:
            await self._commits.commit(call)
        finally:
            self._note(-1)

    @property
    def waited_s(self) -> float:
        """Seconds that requests waited so far, added up, those that still wait included."""
        self._note(0)
        return self._waited_s

    def _note(self, change: int) -> None:
        now = self._clock.monotonic()
        self._waited_s += self._pending * (now - self._noted_at)
        self._noted_at = now
        self._pending += change
