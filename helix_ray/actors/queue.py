"""The queue as an actor: waiting is done here, deciding in `queueing.bounded_queue`.

One event loop and no concurrency groups (each group would have a loop of its own). Every wait is a bounded long-poll, and a
caller that waits costs one future. A call that makes room wakes the first that waits, not all of them.
"""

from __future__ import annotations

import asyncio

from helix_ray.actors.api import QUEUE, QueueApi, begin_incarnation
from helix_ray.actors.heartbeat import Heartbeat
from helix_ray.clock import Clock, SystemClock
from helix_ray.config import QueueConfig
from helix_ray.environment.logs import RunLog
from helix_ray.queueing.bounded_queue import BlockedPut, BoundedQueue
from helix_ray.queueing.messages import DoneReply, LeaseReply, PutReply, QueueStats
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import ReadBatch
from helix_ray.waiting.long_poll import resolve, within

SWEEP_INTERVAL_S = 1.0


class QueueActor(QueueApi):
    """Every method may be called again with the same arguments: nothing is admitted, counted or returned twice."""

    def __init__(self, config: QueueConfig, clock: Clock | None = None, run_log: RunLog | None = None) -> None:
        self._clock = clock or SystemClock()
        self._queue = BoundedQueue(config.capacity, config.low_watermark, config.lease_timeout_s, begin_incarnation(QUEUE, run_log))
        self._blocked: dict[BlockedPut, asyncio.Future[PutReply]] = {}
        self._idle: dict[asyncio.Future[LeaseReply], tuple[str, int]] = {}  # lease calls that wait: holder, max_reads
        self._tasks: list[asyncio.Task[None]] = []

    async def ping(self) -> str:
        for task in filter(asyncio.Task.done, self._tasks):
            task.result()
        return self._queue.incarnation

    async def open(self, done: IndexRanges, producers: int) -> str:
        self._queue.open(done, producers)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._sweep_forever()), asyncio.create_task(self._beat())]
        self._wake()
        return self._queue.incarnation

    async def put(self, producer: int, batch: ReadBatch, wait_s: float = 2.0) -> PutReply:
        queue = self._queue
        if queue.input_closed:
            return PutReply("closed", queue.incarnation, 0)
        self._sweep()
        admitted, rest = queue.offer(batch.packed_rows(), self._clock.monotonic())
        if not rest:
            self._wake()
            return PutReply("admitted", queue.incarnation, admitted)
        put = queue.line.join(rest, admitted, self._clock.monotonic())
        future = self._blocked[put] = asyncio.get_running_loop().create_future()
        self._wake()
        try:
            return await within(future, wait_s) or PutReply("full", queue.incarnation, put.admitted)
        finally:
            self._blocked.pop(put, None)
            queue.line.leave(put, self._clock.monotonic())

    async def done_ranges(self) -> DoneReply:
        return DoneReply(self._queue.incarnation, self._queue.done_ranges(), self._queue.opened)

    async def finish_input(self, producer: int, total_reads: int | None, incarnation: str | None = None) -> str:
        if incarnation in (None, self._queue.incarnation):
            self._queue.finish_input(producer, total_reads)
            self._wake()
        return self._queue.incarnation

    async def lease(self, holder: str, max_reads: int, wait_s: float = 2.0, received: str | None = None) -> LeaseReply:
        self._dismiss_calls(holder)
        self._queue.asks(holder, received)
        future: asyncio.Future[LeaseReply] = asyncio.get_running_loop().create_future()
        self._idle[future] = (holder, max_reads)
        self._sweep()
        try:
            return await within(future, wait_s) or LeaseReply("empty", self._queue.incarnation, None)
        finally:
            self._idle.pop(future, None)

    async def extend(self, holder: str, lease_ids: list[str]) -> list[str]:
        self._sweep()
        return self._queue.extend(holder, lease_ids, self._clock.monotonic())

    async def nack(self, holder: str, lease_id: str, fence: int, read_indices: list[int]) -> None:
        self._queue.nack(holder, lease_id, fence, read_indices)
        self._wake()

    async def ack(self, read_indices: list[int]) -> int:
        fresh = self._queue.ack(read_indices)
        self._wake()
        return fresh

    async def release(self, holder: str) -> int:
        self._dismiss_calls(holder)
        released = self._queue.release(holder)
        self._wake()
        return released

    async def close_input(self) -> None:
        self._queue.input_closed = True
        for put, future in self._blocked.items():
            resolve(future, PutReply("closed", self._queue.incarnation, put.admitted))
        self._wake()

    async def close_leases(self) -> None:
        self._queue.leases_closed = True
        self._wake()

    async def stats(self) -> QueueStats:
        self._sweep()
        return self._queue.stats(self._clock.monotonic())

    def _dismiss_calls(self, holder: str) -> None:
        """Calls of this holder that still wait: their caller gave up on them, or died."""
        for future in [future for future, (waiting, _) in self._idle.items() if waiting == holder]:
            self._idle.pop(future)
            resolve(future, LeaseReply("empty", self._queue.incarnation, None))

    async def _sweep_forever(self) -> None:
        while True:
            await self._clock.sleep(SWEEP_INTERVAL_S)
            self._sweep()

    def _sweep(self) -> None:
        self._queue.sweep(self._clock.monotonic())
        self._wake()

    def _wake(self) -> None:
        """Serve waiting calls in order of arrival. Room lets puts in, their reads serve leases, and leases make room again."""
        queue, now = self._queue, self._clock.monotonic()
        while (served := queue.serve_line(now)) or (self._idle and (queue.servable or queue.exhausted)):
            for put in served:
                resolve(self._blocked[put], PutReply("admitted", queue.incarnation, put.admitted))
            if not served:
                future, (holder, max_reads) = next(iter(self._idle.items()))
                del self._idle[future]
                lease = queue.lease(holder, max(1, max_reads), now)
                resolve(future, LeaseReply("granted" if lease else "closed", queue.incarnation, lease))

    async def _beat(self) -> None:
        await Heartbeat().beat(QUEUE, lambda: self._queue.stats(self._clock.monotonic()), lambda state: None)
