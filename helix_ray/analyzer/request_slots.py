"""Reads that wait for a request, are in one, or rest between two. The number of requests in flight can be changed at any time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from helix_ray.analyzer.leased_reads import Job
from helix_ray.analyzer.next_steps import Next, Step, Steps
from helix_ray.analyzer.request_cycle import Analyst
from helix_ray.clock import Clock


class RequestSlots:
    """At most ``limit`` requests at once, each of up to ``reads_per_request`` reads; ``follow`` decides what comes after each.

    A request takes the reads that are there and waits for no more. Nothing starts while paused or stopped.
    """

    def __init__(self, analyst: Analyst, clock: Clock, limit: int, reads_per_request: int, follow: Callable[[Steps], None]) -> None:
        self._analyst = analyst
        self._clock = clock
        self._reads_per_request = reads_per_request
        self._follow = follow
        self._ready: deque[Job] = deque()
        self._alone: deque[Job] = deque()  # ready too, each for a request of its own
        self._running: dict[asyncio.Task[None], list[Job]] = {}
        self._resting: dict[asyncio.Task[None], list[Job]] = {}
        self._group: asyncio.TaskGroup | None = None
        self.limit = limit
        self.paused = False

    def open(self, group: asyncio.TaskGroup) -> None:
        """Requests run as tasks of this group from now on."""
        self._group = group
        self.advance()

    @property
    def running(self) -> int:
        """Requests in flight."""
        return len(self._running)

    @property
    def busy(self) -> bool:
        return bool(self._ready or self._alone or self._running or self._resting)

    def add(self, jobs: list[Job]) -> None:
        self._ready.extend(jobs)
        self.advance()

    def again(self, jobs: list[Job]) -> None:
        """Before all others, in this order: they have waited longest."""
        self._ready.extendleft(job for job in reversed(jobs) if not job.alone)
        self._alone.extendleft(job for job in reversed(jobs) if job.alone)

    def later(self, jobs: list[Job], delay_s: float) -> None:
        """They rest outside the slots, so that a failing request holds up none that works; and together, to be asked together."""

        async def rest() -> None:
            await self._clock.sleep(delay_s)
            if self._resting.pop(task, None) is not None:
                self.again(jobs)
                self.advance()

        assert self._group is not None
        task = self._group.create_task(rest())
        self._resting[task] = jobs

    def advance(self) -> None:
        """Starts what the free slots allow."""
        if self._group is None or self.paused:
            return
        while len(self._running) < self.limit and (jobs := self._next_request()):
            task = self._group.create_task(self._work(jobs))
            self._running[task] = jobs

    def clear(self) -> list[Job]:
        """Takes out every read that is not in a request."""
        jobs = [*self._alone, *self._ready, *(job for resting in self._resting.values() for job in resting)]
        for task in self._resting:
            task.cancel()
        self._alone.clear()
        self._ready.clear()
        self._resting.clear()
        return jobs

    async def abandon(self) -> list[Job]:
        """Cuts off the requests in flight; the reads whose request did not end."""
        running = dict(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for task in running:
            self._running.pop(task, None)  # a task that was cancelled before it began has not done so itself
        return [job for task, jobs in running.items() if task.cancelled() for job in jobs]

    def _next_request(self) -> list[Job]:
        """The reads of the next request; empty when none is ready. Those whose lease was lost are let go on the way."""
        for line in (self._alone, self._ready):
            jobs: list[Job] = []
            most = self._reads_per_request
            while line and len(jobs) < min(most, _shares(line[0], most)):
                job = line.popleft()
                most = min(most, _shares(job, most))
                if job.lost:
                    self._follow([(job, Step(Next.DROP))])
                else:
                    jobs.append(job)
            if jobs:
                return jobs
        return []

    async def _work(self, jobs: list[Job]) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            steps = await self._analyst.attempt(jobs)
        finally:
            self._running.pop(task, None)
        self._follow(steps)
        self.advance()


def _shares(job: Job, most: int) -> int:
    """Reads at most in a request with this one."""
    return most if job.companions is None else job.companions + 1
