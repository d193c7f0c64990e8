"""What a producer does: its blocks of the source, in order, into the queue, at the pace that control wants.

    source.block(b) ──► trim what is done ──► split ──► pace ──► put, again while full ──► next b

Producer i of P owns the blocks b with b mod P = i. It remembers nothing that it could not ask again: after its own restart
or the queue's (a new epoch) it fetches what is done and offers the rest once more; the queue drops what it has already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from helix_ray.clock import Clock
from helix_ray.control.desired import source_rate
from helix_ray.metrics.reports import ProducerReport
from helix_ray.producer.pacer import Pacer
from helix_ray.queueing.messages import DoneReply, PutReply
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import DesiredState, ReadBatch

TICK_S = 0.25
"""How long at most a producer waits before it looks at the desired state again."""


class Source(Protocol):
    """The part of `helix_ray.sources.Source` that is needed here."""

    total: int | None

    def block(self, index: int) -> ReadBatch | None: ...


class QueuePort(Protocol):
    """The queue as one producer sees it."""

    async def put(self, batch: ReadBatch) -> PutReply: ...

    async def done_ranges(self) -> DoneReply: ...

    async def finish_input(self, total_reads: int | None, epoch: str) -> str:
        """Holds only in this epoch; returns the queue's."""
        ...


class Ending(StrEnum):
    FINISHED = "finished"  # every own read was offered, and the queue knows it
    CLOSED = "closed"  # the queue takes no more input
    STOPPED = "stopped"  # control asked for the end


class _Step(StrEnum):
    GO_ON = "go_on"
    START_OVER = "start_over"  # the queue has a new epoch


@dataclass(frozen=True, slots=True)
class Share:
    """Which blocks are this producer's."""

    index: int
    producers: int
    batch_size: int

    def block_holding(self, read_index: int) -> int:
        """The first own block that reaches ``read_index`` or what follows it."""
        block = read_index // self.batch_size
        return block + (self.index - block) % self.producers

    def reads_of(self, total: int) -> int:
        """How many of ``total`` reads lie in own blocks."""
        full, rest = divmod(total, self.batch_size)
        blocks = (full - self.index + self.producers - 1) // self.producers
        return blocks * self.batch_size + (rest if full % self.producers == self.index else 0)


@dataclass(slots=True)
class ProducerStats:
    """Counters since this producer's start."""

    produced: int = 0  # reads that entered the queue by our puts
    generated: int = 0  # reads made by the source
    generate_seconds: float = 0.0
    blocked_seconds: float = 0.0  # waiting for the queue's answer to a put
    passes: int = 0  # how often the offering began: 1 and one more for every new epoch

    def report(self) -> ProducerReport:
        speed = self.generated / self.generate_seconds if self.generate_seconds else 0.0
        return ProducerReport(
            produced=self.produced, generated=self.generated, generated_reads_per_s=speed, blocked_seconds=self.blocked_seconds
        )


class ProducerEngine:
    """One producer's work. The source is called in a thread; everything else happens on the event loop."""

    def __init__(
        self,
        share: Share,
        source: Source,
        queue: QueuePort,
        split: Callable[[ReadBatch], list[ReadBatch]],
        rate_per_s: float | None,
        clock: Clock,
    ) -> None:
        """``split`` cuts a batch to what one call may carry; ``rate_per_s``: of all producers, until control says otherwise."""
        self.stats = ProducerStats()
        self._share = share
        self._source = source
        self._queue = queue
        self._split = split
        self._rate_per_s = rate_per_s
        self._clock = clock
        self._state = DesiredState()
        self._pacer = Pacer(share.producers, share.batch_size)
        self._running = asyncio.Lock()
        self._finished_in: str | None = None  # the epoch to which everything was offered

    def adopt(self, state: DesiredState) -> None:
        """From now on this is wanted: a pause, a rate, a spike, an end."""
        self._state = state

    async def run(self) -> Ending:
        """Offers every own read that is not done. Raises what the source raises (InputError).

        May be called again at any time: calls take turns, and one that finds all offered to this queue ends at once.
        """
        async with self._running:
            while (reply := await self._opened_queue()).epoch != self._finished_in:
                self.stats.passes += 1
                step = await self._offer_all(reply)
                if step in (Ending.CLOSED, Ending.STOPPED):
                    return Ending(step)
            return Ending.FINISHED

    async def _opened_queue(self) -> DoneReply:
        while not (reply := await self._queue.done_ranges()).opened:
            await self._clock.sleep(TICK_S)
        return reply

    async def _offer_all(self, reply: DoneReply) -> Ending | _Step:
        """One pass over the own blocks, in the epoch of ``reply``."""
        done = IndexRanges.from_pairs(reply.ranges)
        size = self._share.batch_size
        block = self._share.block_holding(done.first_missing(self._share.index * size))
        end = block * size  # one past the last read known to exist
        while self._state.ending is None:
            first_missing = done.first_missing(block * size)
            if first_missing >= (block + 1) * size:
                block = self._share.block_holding(first_missing)
                end = block * size
                continue
            batch = await asyncio.to_thread(self._generate, block)
            if batch is None:
                # a file knows its size only now; it has one producer, so its last read is also the last of all
                total = self._source.total if self._source.total is not None else end
                if await self._queue.finish_input(self._share.reads_of(total), reply.epoch) != reply.epoch:
                    return _Step.START_OVER
                self._finished_in = reply.epoch
                return Ending.FINISHED
            end = batch.read_index[-1] + 1
            for part in self._split(_without(batch, done)):
                step = await self._offer(part, reply.epoch)
                if step is not _Step.GO_ON:
                    return step
            block += self._share.producers
        return Ending.STOPPED

    def _generate(self, block: int) -> ReadBatch | None:
        """In a thread of its own: native code that releases the GIL, or a file."""
        began = self._clock.monotonic()
        batch = self._source.block(block)
        self.stats.generate_seconds += self._clock.monotonic() - began
        self.stats.generated += 0 if batch is None else batch.size
        return batch

    async def _offer(self, batch: ReadBatch, epoch: str) -> Ending | _Step:
        """Puts a batch in pieces, as fast as the pace allows."""
        at = 0
        while at < batch.size:
            if not await self._may_pass():
                return Ending.STOPPED
            piece = _rows(batch, at, at + self._pacer.piece())
            self._pacer.passed(piece.size, self._clock.monotonic())
            step = await self._put(piece, epoch)
            if step is not _Step.GO_ON:
                return step
            at += piece.size
        return _Step.GO_ON

    async def _may_pass(self) -> bool:
        """Waits until the pace lets the next reads pass; False when the run is ending."""
        while self._state.ending is None:
            now = self._clock.monotonic()
            rate = 0.0 if self._state.paused else source_rate(self._state, self._rate_per_s, self._clock.now().timestamp())
            self._pacer.set_rate(rate, now)
            delay_s = self._pacer.delay_s(now)
            if not delay_s:
                return True
            await self._clock.sleep(min(delay_s, TICK_S))
        return False

    async def _put(self, piece: ReadBatch, epoch: str) -> Ending | _Step:
        """One outstanding put, repeated while the queue is full: this is where backpressure is felt."""
        while True:
            began = self._clock.monotonic()
            reply = await self._queue.put(piece)
            self.stats.blocked_seconds += self._clock.monotonic() - began
            self.stats.produced += reply.admitted
            if reply.status == "closed":
                return Ending.CLOSED
            if reply.epoch != epoch:
                return _Step.START_OVER
            if reply.status == "admitted":
                return _Step.GO_ON
            while self._state.paused and self._state.ending is None:
                await self._clock.sleep(TICK_S)
            if self._state.ending is not None:
                return Ending.STOPPED


def _without(batch: ReadBatch, done: IndexRanges) -> ReadBatch:
    keep = [index not in done for index in batch.read_index]
    if all(keep):
        return batch
    return ReadBatch.from_rows([row for row, kept in zip(batch.rows(), keep, strict=True) if kept])


def _rows(batch: ReadBatch, start: int, stop: int) -> ReadBatch:
    return ReadBatch._make(column[start:stop] for column in batch)
