"""Reads that wait for a request, are in one, or rest between two. The number in flight can be changed at any time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from helix_ray.actors.analyst import Analyst, Next, Step
from helix_ray.actors.held_reads import HeldReads, Job
from helix_ray.clock import Clock


class RequestSlots:
    """At most ``limit`` attempts at once; ``follow`` decides what comes after each. Nothing starts while paused or stopped."""

    def __init__(self, analyst: Analyst, held: HeldReads, clock: Clock, limit: int, follow: Callable[[Job, Step], None]) -> None:
        self._analyst = analyst
        self._held = held
        self._clock = clock
        self._follow = follow
        self._ready: deque[Job] = deque()
        self._running: dict[asyncio.Task[None], Job] = {}
        self._resting: dict[asyncio.Task[None], Job] = {}
        self._group: asyncio.TaskGroup | None = None
        self.limit = limit
        self.paused = False

    def open(self, group: asyncio.TaskGroup) -> None:
        """Attempts run as tasks of this group from now on."""
        self._group = group
        self.advance()

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def busy(self) -> bool:
        return bool(self._ready or self._running or self._resting)

    def add(self, jobs: list[Job]) -> None:
        self._ready.extend(jobs)
        self.advance()

    def again(self, job: Job) -> None:
        """Before all others: it has waited longest."""
        self._ready.appendleft(job)

    def later(self, job: Job, delay_s: float) -> None:
        """Rests outside the slots, so that a failing request holds up none that works."""

        async def rest() -> None:
            await self._clock.sleep(delay_s)
            if self._resting.pop(task, None) is not None:
                self.again(job)
                self.advance()

        assert self._group is not None
        task = self._group.create_task(rest())
        self._resting[task] = job

    def advance(self) -> None:
        """Starts what the free slots allow."""
        if self._group is None or self.paused:
            return
        while self._ready and len(self._running) < self.limit:
            job = self._ready.popleft()
            if job.lost:
                self._follow(job, Step(Next.DROP))
                continue
            task = self._group.create_task(self._work(job))
            self._running[task] = job

    def clear(self) -> list[Job]:
        """Takes out every read that is not in a request."""
        jobs = [*self._ready, *self._resting.values()]
        for task in self._resting:
            task.cancel()
        self._ready.clear()
        self._resting.clear()
        return jobs

    async def abandon(self) -> list[Job]:
        """Cuts off the requests in flight; the reads whose attempt did not end."""
        running = dict(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for task in running:
            self._running.pop(task, None)  # a task that was cancelled before it began has not done so itself
        return [job for task, job in running.items() if task.cancelled()]

    async def _work(self, job: Job) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            step = await self._analyst.attempt(job)
        finally:
            self._running.pop(task, None)
        self._follow(job, step)
        self.advance()
