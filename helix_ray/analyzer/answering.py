"""How reads get their answers: by requests to an API, each with a permit, or from the aligner at once."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from helix_ray.analyzer.leased_reads import ReadTask
from helix_ray.analyzer.read_results import ALIGNER, ResultMaker
from helix_ray.analyzer.request_cycle import RequestCycle
from helix_ray.analyzer.retry_policy import AGAIN, DROP, NextAction, ReadOutcome, ReadOutcomes
from helix_ray.clock import Clock


class Flow(NamedTuple):
    """How requests flow; all 0 where none are sent."""

    in_flight: int = 0  # requests
    slots: int = 0  # requests that may be in flight
    intent_wait_s: float = 0.0  # that requests waited for their record, added up


class Answering(ABC):
    """Takes reads, and hands each with its outcome to ``done``: STORE, DROP or REFUSED, and after `stop` any other too.

    What a strategy does not override fits answers that are there at once.
    """

    def __init__(self, results: ResultMaker, done: Callable[[ReadOutcomes], None]) -> None:
        self.results = results
        self._done = done

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Background tasks, for the caller to cancel at the end. Precondition of every request."""
        return []

    @abstractmethod
    def take(self, reads: list[ReadTask]) -> None:
        """Answer these reads; ``done`` gets each outcome."""

    @property
    def busy(self) -> bool:
        """Reads were taken and have no outcome yet."""
        return False

    def flow(self) -> Flow:
        return Flow()

    def bound(self, requests_in_flight: int, paused: bool) -> None:  # noqa: B027  (nothing to bound where none is sent)
        """Bound the requests that may be in flight; paused, none starts. Requests in flight are left to end."""

    def stop(self) -> list[ReadTask]:
        """Send nothing more. Returns the reads that are in no request. Safe twice."""
        return []

    async def abandon(self) -> list[ReadTask]:
        """Cancel the requests in flight. Returns the reads whose request did not end."""
        return []

    async def flush(self) -> None:  # noqa: B027  (likewise)
        """Return when the throttle has every settlement."""


class Aligning(Answering):
    def __init__(self, clock: Clock, done: Callable[[ReadOutcomes], None]) -> None:
        super().__init__(ResultMaker(ALIGNER), done)
        self._clock = clock

    def take(self, reads: list[ReadTask]) -> None:
        now = self._clock.now()
        self._done([(read, ReadOutcome(NextAction.STORE, self.results.aligned(read, now))) for read in reads])


class RequestSlots(Answering):
    """Sends at most ``limit`` requests at once, each with up to ``reads_per_request`` of the reads that are there.

    Reads wait for a request, are in one, or rest between two. No request waits to be filled. Nothing starts while paused or stopped.
    """

    def __init__(self, cycle: RequestCycle, limit: int, reads_per_request: int, done: Callable[[ReadOutcomes], None]) -> None:
        super().__init__(cycle.results, done)
        self._cycle = cycle
        self._permits = cycle.permits
        self._limit = limit
        self._concurrency_limit: int | None = None  # over all analyzers, by the throttle; None: not bounded
        self._reads_per_request = reads_per_request
        self._ready: deque[ReadTask] = deque()
        self._alone: deque[ReadTask] = deque()  # ready too, each for a request of its own
        self._running: dict[asyncio.Task[None], list[ReadTask]] = {}
        self._resting: dict[asyncio.Task[None], list[ReadTask]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._paused = False
        self._stopped = False

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        pump = group.create_task(self._permits.run(self._set_concurrency_limit))
        self._group = group
        self._advance()
        return [pump]

    def take(self, reads: list[ReadTask]) -> None:
        self._ready.extend(reads)
        self._advance()

    @property
    def busy(self) -> bool:
        return bool(self._ready or self._alone or self._running or self._resting)

    def flow(self) -> Flow:
        return Flow(len(self._running), self._slots, self._cycle.log.records.waited_s)

    def bound(self, requests_in_flight: int, paused: bool) -> None:
        if paused and not self._paused:
            self._permits.withdraw_all()
        self._limit, self._paused = requests_in_flight, paused
        self._advance()

    def stop(self) -> list[ReadTask]:
        self._stopped = True
        reads = [*self._alone, *self._ready, *(read for resting in self._resting.values() for read in resting)]
        for task in self._resting:
            task.cancel()
        self._alone.clear()
        self._ready.clear()
        self._resting.clear()
        self._permits.withdraw_all()
        return reads

    async def abandon(self) -> list[ReadTask]:
        running = dict(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for task in running:
            self._running.pop(task, None)  # a task that was cancelled before it began has not done so itself
        return [read for task, reads in running.items() if task.cancelled() for read in reads]

    async def flush(self) -> None:
        await self._permits.flush()

    @property
    def _slots(self) -> int:
        """More requests than the throttle's concurrency limit would only queue there."""
        return self._limit if self._concurrency_limit is None else max(1, min(self._limit, self._concurrency_limit))

    def _set_concurrency_limit(self, concurrency_limit: int | None) -> None:
        if concurrency_limit != self._concurrency_limit:
            self._concurrency_limit = concurrency_limit
            self._advance()

    def _advance(self) -> None:
        if self._group is None or self._paused:
            return
        while len(self._running) < self._slots and (reads := self._next_request()):
            task = self._group.create_task(self._work(reads))
            self._running[task] = reads

    def _next_request(self) -> list[ReadTask]:
        """The reads of the next request; empty when none is ready. Reads whose lease was lost are dropped on the way."""
        for waiting in (self._alone, self._ready):
            reads: list[ReadTask] = []
            most = self._reads_per_request
            while waiting and len(reads) < (limit := min(most, waiting[0].max_batch or most)):
                read, most = waiting.popleft(), limit
                if read.lost:
                    self._done([(read, DROP)])
                else:
                    reads.append(read)
            if reads:
                return reads
        return []

    async def _work(self, reads: list[ReadTask]) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            outcomes = await self._cycle.run(reads)
        finally:
            self._running.pop(task, None)
        self._follow(outcomes)
        self._advance()

    def _follow(self, outcomes: ReadOutcomes) -> None:
        # a read that was lost when its request was made may have been leased to us again since
        outcomes = [(read, AGAIN if outcome is DROP and not read.lost else outcome) for read, outcome in outcomes]
        if not self._stopped:
            self._again([read for read, outcome in outcomes if outcome.action is NextAction.AGAIN])
            later = [(read, outcome.delay_s) for read, outcome in outcomes if outcome.action is NextAction.LATER]
            if later:
                self._later([read for read, _ in later], later[0][1])
            outcomes = [item for item in outcomes if item[1].action not in (NextAction.AGAIN, NextAction.LATER)]
        self._done(outcomes)

    def _again(self, reads: list[ReadTask]) -> None:
        """Put these reads before all others, in this order: they have waited longest."""
        self._ready.extendleft(read for read in reversed(reads) if not read.alone)
        self._alone.extendleft(read for read in reversed(reads) if read.alone)

    def _later(self, reads: list[ReadTask], delay_s: float) -> None:
        """Let reads rest outside the slots, so that a failing request delays no other, and together, to share their next request."""

        async def rest() -> None:
            await self._cycle.clock.sleep(delay_s)
            if self._resting.pop(task, None) is not None:
                self._again(reads)
                self._advance()

        assert self._group is not None
        task = self._group.create_task(rest())
        self._resting[task] = reads
