"""The waiting that an answer takes, ended early when the client hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from helix_ray.emulator.capacity import Capacity, Job
from helix_ray.emulator.latency import Timing

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Served(NamedTuple):
    gone: bool  # the client left first
    stretch: float  # how many times as long as planned the service took


class Serving:
    """``monotonic`` is a clock in seconds, the event loop's or one as fast."""

    def __init__(self, most: int | None, monotonic: Callable[[], float]) -> None:
        self.capacity = Capacity(most)
        self._monotonic = monotonic
        self._waiting: dict[Job, asyncio.Timeout] = {}

    def change(self, most: int | None) -> None:
        """For requests that share the capacity already, from now on; those that came while there was no bound are not among
        them.
        """
        self.capacity.change(most, self._monotonic())
        self._wake_first()

    async def serve(self, timing: Timing, receive: Receive) -> Served:
        if self.capacity.most is None:
            seconds = timing.service_s + timing.round_trip_s
            return Served(seconds > 0 and await left_within(seconds, receive), 1.0)
        job = self.capacity.enter(timing.service_s, self._monotonic())
        try:
            while (left := self.capacity.left_s(job, self._monotonic())) > 0:
                if await self._left_within(left, job, receive):
                    return Served(True, 1.0)
        finally:
            self.capacity.leave(job, self._monotonic())
            self._wake_first()
        return Served(timing.round_trip_s > 0 and await left_within(timing.round_trip_s, receive), job.stretch)

    async def _left_within(self, seconds: float, job: Job, receive: Receive) -> bool:
        try:
            async with asyncio.timeout(seconds) as waiting:
                self._waiting[job] = waiting
                await _left(receive)
        except TimeoutError:
            return False
        finally:
            del self._waiting[job]
        return True

    def _wake_first(self) -> None:
        """Whoever is next may be sooner than it thinks, now that others are gone. All behind it wait for their own turn."""
        now = self._monotonic()
        job = self.capacity.first(now)
        waiting = None if job is None else self._waiting.get(job)
        if job is not None and waiting is not None and not waiting.expired():
            waiting.reschedule(asyncio.get_running_loop().time() + self.capacity.left_s(job, now))


async def left_within(seconds: float, receive: Receive) -> bool:
    """Waits; True as soon as the client hangs up."""
    try:
        async with asyncio.timeout(seconds):
            await _left(receive)
    except TimeoutError:
        return False
    return True


async def _left(receive: Receive) -> None:
    """After the body, the only message that a client can send is its leaving."""
    while (await receive())["type"] != "http.disconnect":
        pass
