"""One producer: its blocks of the source, in order, into the queue, at the rate that control asks for.

    source.block(b) ──► trim what is done ──► split ──► pace ──► put, again while full ──► next b

Producer i of P owns the blocks b with b mod P = i. It keeps no state that it could not fetch again. After its own restart or
the queue's (a new incarnation) it fetches what is done and offers the rest once more. The queue drops what it has already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from helix_ray.clock import Clock
from helix_ray.control.desired import source_rate
from helix_ray.environment.logs import Event, event_logger
from helix_ray.metrics.reports import ProducerReport
from helix_ray.producer.pacer import Pacer
from helix_ray.producer.splitting import rows
from helix_ray.queueing.messages import DoneReply, PutReply
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import DesiredState, ReadBatch
from helix_ray.sources.source import Source

log = event_logger(__name__)

TICK_S = 0.25
"""Longest wait between two looks at the desired state."""


class QueuePort(Protocol):
    """The queue as one producer sees it."""

    async def put(self, batch: ReadBatch) -> PutReply: ...

    async def done_ranges(self) -> DoneReply: ...

    async def finish_input(self, total_reads: int | None, incarnation: str) -> str:
        """Ignored in another incarnation. Returns the queue's incarnation."""


class ProducerEnd(StrEnum):
    FINISHED = "finished"  # every own read was offered, and the queue knows it
    CLOSED = "closed"  # the queue takes no more input
    STOPPED = "stopped"  # control asked for the end


class _NewIncarnationError(Exception):
    """The queue started again, empty: what is not done is offered once more."""


@dataclass(frozen=True, slots=True)
class Share:
    """The blocks of one producer."""

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
    passes: int = 0  # 1, and one more for every new incarnation of the queue

    def report(self) -> ProducerReport:
        speed = self.generated / self.generate_seconds if self.generate_seconds else 0.0
        return ProducerReport(
            produced=self.produced,
            generated=self.generated,
            generate_s=self.generate_seconds,
            generated_reads_per_s=speed,
            blocked_seconds=self.blocked_seconds,
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
        """``split`` cuts a batch to what one call may carry. ``rate_per_s``: of all producers, unless control sets another."""
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
        self._finished_in: str | None = None  # the incarnation to which everything was offered

    def apply(self, state: DesiredState) -> None:
        """Apply the desired state: a pause, a rate, a spike, an end."""
        self._state = state

    async def run(self) -> ProducerEnd:
        """Offer every own read that is not done. Raises what the source raises (InputError).

        Idempotent: calls take turns, and one that finds all offered to this queue returns at once.
        """
        async with self._running:
            while (reply := await self._opened_queue()).incarnation != self._finished_in:
                self.stats.passes += 1
                try:
                    ending = await self._offer_all(reply)
                except _NewIncarnationError:
                    log.warning(Event.REOFFERED, producer=self._share.index, why="the queue is a new one")
                    continue
                if ending is not ProducerEnd.FINISHED:
                    return ending
            return ProducerEnd.FINISHED

    async def _opened_queue(self) -> DoneReply:
        while not (reply := await self._queue.done_ranges()).opened:
            await self._clock.sleep(TICK_S)
        return reply

    async def _offer_all(self, reply: DoneReply) -> ProducerEnd:
        """One pass over the own blocks, in the incarnation of ``reply``."""
        done = reply.ranges
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
                if await self._queue.finish_input(self._share.reads_of(total), reply.incarnation) != reply.incarnation:
                    raise _NewIncarnationError
                self._finished_in = reply.incarnation
                return ProducerEnd.FINISHED
            end = batch.read_index[-1] + 1
            for part in self._split(_without(batch, done)):
                if ending := await self._offer(part, reply.incarnation):
                    return ending
            block += self._share.producers
        return ProducerEnd.STOPPED

    def _generate(self, block: int) -> ReadBatch | None:
        """Called in a thread: native code that releases the GIL, or a file."""
        began = self._clock.monotonic()
        batch = self._source.block(block)
        self.stats.generate_seconds += self._clock.monotonic() - began
        self.stats.generated += 0 if batch is None else batch.size
        return batch

    async def _offer(self, batch: ReadBatch, incarnation: str) -> ProducerEnd | None:
        """Put a batch in pieces, as fast as the rate allows. None: all of it is admitted."""
        at = 0
        while at < batch.size:
            if not await self._may_pass():
                return ProducerEnd.STOPPED
            piece = rows(batch, at, at + self._pacer.piece())
            self._pacer.passed(piece.size, self._clock.monotonic())
            if ending := await self._put(piece, incarnation):
                return ending
            at += piece.size
        return None

    async def _may_pass(self) -> bool:
        """Wait until the rate lets the next reads pass. False when the run is ending."""
        while self._state.ending is None:
            now = self._clock.monotonic()
            rate = 0.0 if self._state.paused else source_rate(self._state, self._rate_per_s, self._clock.now().timestamp())
            self._pacer.set_rate(rate, now)
            delay_s = self._pacer.delay_s(now)
            if not delay_s:
                return True
            await self._clock.sleep(min(delay_s, TICK_S))
        return False

    async def _put(self, piece: ReadBatch, incarnation: str) -> ProducerEnd | None:
        """One outstanding put, repeated while the queue is full: the backpressure on this producer."""
        while True:
            began = self._clock.monotonic()
            reply = await self._queue.put(piece)
            self.stats.blocked_seconds += self._clock.monotonic() - began
            self.stats.produced += reply.admitted
            if reply.status == "closed":
                return ProducerEnd.CLOSED
            if reply.incarnation != incarnation:
                raise _NewIncarnationError
            if reply.status == "admitted":
                return None
            while self._state.paused and self._state.ending is None:
                await self._clock.sleep(TICK_S)
            if self._state.ending is not None:
                return ProducerEnd.STOPPED


def _without(batch: ReadBatch, done: IndexRanges) -> ReadBatch:
    if not any(index in done for index in batch.read_index):
        return batch
    return ReadBatch.from_rows(read for read in batch.packed_rows() if read.read_index not in done)
