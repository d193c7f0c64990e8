"""The sink without Ray: collects writes into batches, commits them through any outage, and tells who must know.

A write returns after its commit. While the database is away callers simply wait, which holds back everyone before them;
when it stays away for ``outage_timeout_s`` the sink gives up, for good and aloud.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, TypeVar

from helix_ray.clock import Clock
from helix_ray.errors import DatabaseLostError, DatabaseUnavailableError, HelixError, InvariantError
from helix_ray.metrics.reports import SinkReport
from helix_ray.records import ApiCall, ReadResult
from helix_ray.sink.buffer import Entry, SinkBuffer
from helix_ray.sink.intents import SinkIntents
from helix_ray.sink.stats import CommitTimes
from helix_ray.storage.integrity import CORRUPTED, Checksum, verified
from helix_ray.storage.ledger import Ledger

__all__ = ["SinkEngine", "SinkPolicy", "WriteReply"]

Answer = TypeVar("Answer")

FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 5.0
BUFFERED_BATCHES = 4
"""Batches' worth of reads that may wait: one in the database, the rest to keep it busy."""


class WriteReply(NamedTuple):
    committed: list[int]  # read indices of this write that have their row now


@dataclass(frozen=True, slots=True)
class SinkPolicy:
    batch_size: int  # reads
    flush_interval_s: float
    outage_timeout_s: float


class SinkEngine:
    """``intents`` is the ledger on a connection of its own, for requests that are about to be sent; None: ``ledger`` serves those too.

    ``ack`` tells the queue what is committed; ``announce`` shows committed reads to people and may drop them.

    ``checksum`` is taken of every read that has one, before its row is written; a damaged read becomes a dead letter.
    """

    def __init__(
        self,
        run_id: str,
        ledger: Ledger,
        policy: SinkPolicy,
        clock: Clock,
        *,
        checksum: Checksum,
        ack: Callable[[list[int]], Awaitable[object]],
        announce: Callable[[list[ReadResult]], None] = lambda results: None,
        intents: Ledger | None = None,
    ) -> None:
        self._run_id = run_id
        self._ledger = ledger
        self._policy = policy
        self._clock = clock
        self._checksum = checksum
        self._ack = ack
        self._announce = announce
        self._intents = SinkIntents(run_id, intents or ledger, clock)
        self._claimed = asyncio.Event()  # or given up
        self._random = random.Random(run_id)  # noqa: S311 (jitter)
        self._buffer: SinkBuffer[asyncio.Future[None]] = SinkBuffer(
            policy.batch_size, policy.flush_interval_s, BUFFERED_BATCHES * policy.batch_size
        )
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()  # writes that wait for room, with their sizes
        self._work = asyncio.Event()
        self._hurry = False
        self._unacked: list[int] = []
        self._ack_due = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._times = CommitTimes()
        self._reads = self._calls = self._suppressed = self._replayed = self._unstorable = self._corrupted = 0
        self._batches = self._retries = 0
        self._down_since: float | None = None
        self._last_error: str | None = None
        self._fatal: HelixError | None = None

    async def start(self) -> None:
        """Claims the run, whose only writer this is, then commits what is written. Safe twice."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._commit_forever()), asyncio.create_task(self._ack_forever())]

    async def write(self, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> WriteReply:
        """Returns after commit. DatabaseLostError when the database is given up; what is not committed is not acked."""
        await self.start()
        await self._enter(len(results))
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        was_empty = self._buffer.is_empty
        self._buffer.add(Entry(results, calls, committed, self._clock.monotonic()))
        self._settled.clear()
        if was_empty or self._buffer.due_in(self._clock.monotonic()) == 0:
            self._work.set()
        await committed
        return WriteReply(sorted({result.read.read_index for result in results}))

    async def intend(self, calls: Sequence[ApiCall]) -> None:
        """As `write`, of requests that are about to be sent; no batch of reads is waited for."""
        await self._until_claimed()
        await self._intents.write(calls)

    async def authorise(self, total_usd: Decimal) -> Decimal:
        """What the throttle may spend or reserve, committed; it waits while the database is away."""
        await self._until_claimed()
        return (await self._through_outages(lambda: self._ledger.authorise(self._run_id, total_usd)))[0]

    async def flush(self) -> None:
        """Commits what is held without waiting for its batch to fill, and returns when the queue knows, too."""
        self._hurry = True
        self._work.set()
        await self._settled.wait()
        self._hurry = False
        if self._fatal is not None:
            raise self._fatal

    async def stop(self) -> None:
        """Flushes, then ends. Safe twice and before start."""
        try:
            if self._tasks and self._fatal is None:
                await self.flush()
        finally:
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._intents.stop()
            await self._ledger.aclose()

    def check(self) -> None:
        """Raises what ended a background task; that the database was given up is said by `stats` and every write."""
        for task in filter(asyncio.Task.done, self._tasks):
            task.result()

    def stats(self) -> SinkReport:
        outage_s = 0.0 if self._down_since is None else self._clock.monotonic() - self._down_since
        return SinkReport(
            buffered=self._buffer.reads,
            committed_reads=self._reads,
            committed_calls=self._calls,
            suppressed=self._suppressed,
            replayed=self._replayed,
            unstorable=self._unstorable,
            corrupted=self._corrupted,
            batches=self._batches,
            retries=self._retries,
            unacked=len(self._unacked),
            outage_s=outage_s,
            commit_ms_p50=self._times.percentile(0.5),
            commit_ms_p95=self._times.percentile(0.95),
            last_error=self._last_error,
            fatal_error=None if self._fatal is None else str(self._fatal),
        )

    async def _until_claimed(self) -> None:
        await self.start()
        await self._claimed.wait()
        if self._fatal is not None:
            raise self._fatal

    async def _enter(self, reads: int) -> None:
        """Waits for room, behind those who came before, and reserves it."""
        if self._fatal is None and (self._line or not self._buffer.has_room(reads)):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            place = (reads, turn)
            self._line.append(place)
            try:
                await turn
            except asyncio.CancelledError:
                if place in self._line:
                    self._line.remove(place)
                else:
                    self._buffer.reserve(-reads)
                self._admit()
                raise
        else:
            self._buffer.reserve(reads)
        if self._fatal is not None:
            self._buffer.reserve(-reads)
            raise self._fatal

    def _admit(self) -> None:
        """Lets in who fits now; everybody when the database is given up, to be told so."""
        while self._line and (self._fatal is not None or self._buffer.has_room(self._line[0][0])):
            reads, turn = self._line.popleft()
            self._buffer.reserve(reads)
            turn.set_result(None)

    async def _commit_forever(self) -> None:
        try:
            await self._through_outages(lambda: self._ledger.claim(self._run_id))
        except HelixError as error:
            self._give_up(error, [])
        self._claimed.set()
        while self._fatal is None:
            await self._ripen()
            batch = self._buffer.take()
            try:
                await self._commit(batch)
            except HelixError as error:
                self._give_up(error, batch)
            except BaseException as error:
                self._give_up(DatabaseLostError(f"the sink failed: {type(error).__name__}"), batch)
                raise
            finally:
                self._buffer.release(batch)
                self._admit()
            self._check_settled()

    async def _ripen(self) -> None:
        """Until a batch is full, old enough or asked for."""
        while True:
            self._work.clear()
            due_s = self._buffer.due_in(self._clock.monotonic())
            if due_s is not None and (due_s == 0 or self._hurry):
                return
            waiting = asyncio.create_task(self._work.wait())
            timer = None if due_s is None else asyncio.create_task(self._clock.sleep(due_s))
            try:
                await asyncio.wait([task for task in (waiting, timer) if task is not None], return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
                if timer is not None:
                    timer.cancel()

    async def _commit(self, batch: list[Entry[asyncio.Future[None]]]) -> None:
        results = verified([result for entry in batch for result in entry.results], self._checksum)
        calls = [call for entry in batch for call in entry.calls]
        began = self._clock.monotonic()
        outcome, attempts = await self._through_outages(lambda: self._ledger.write_batch(self._run_id, results, calls))
        self._times.add((self._clock.monotonic() - began) * 1000)
        self._batches += 1
        self._reads += len(outcome.inserted) + len(outcome.poisoned)
        self._calls += len(calls)
        self._unstorable += len(outcome.poisoned)
        if attempts == 1:
            self._suppressed += len(outcome.suppressed)
        else:  # most likely our own rows, committed by an attempt that was cut off
            self._reads += len(outcome.suppressed)
            self._replayed += len(outcome.suppressed)
        self._unacked.extend(outcome.committed)
        self._ack_due.set()
        for entry in batch:
            if not entry.ticket.done():
                entry.ticket.set_result(None)
        fresh = set(outcome.inserted)
        self._corrupted += sum(result.error_kind == CORRUPTED for result in results if result.read.read_index in fresh)
        self._announce([result for result in results if result.read.read_index in fresh])

    async def _through_outages(self, ask: Callable[[], Awaitable[Answer]]) -> tuple[Answer, int]:
        """The database's answer and the number of attempts, full jitter between them; DatabaseLostError after ``outage_timeout_s``."""
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = await ask()
            except (DatabaseLostError, DatabaseUnavailableError) as error:
                now = self._clock.monotonic()
                self._down_since = self._down_since if self._down_since is not None else now
                self._last_error = str(error)
                self._retries += 1
                if now - self._down_since >= self._policy.outage_timeout_s:
                    raise DatabaseLostError(f"the database did not come back within {self._policy.outage_timeout_s:g} s: {error}") from None
                ceiling = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(attempt - 1, 10))
                await self._clock.sleep(self._random.uniform(FIRST_RETRY_S / 4, ceiling))
            else:
                self._down_since = None
                return answer, attempt

    async def _ack_forever(self) -> None:
        while True:
            await self._ack_due.wait()
            self._ack_due.clear()
            indices = list(self._unacked)
            if indices:
                try:
                    await self._ack(indices)
                except Exception as error:
                    self._give_up(InvariantError(f"the queue refused an ack: {type(error).__name__}"), [])
                    raise
                del self._unacked[: len(indices)]
            self._check_settled()

    def _give_up(self, error: HelixError, batch: list[Entry[asyncio.Future[None]]]) -> None:
        self._fatal = error
        for entry in [*batch, *self._buffer.drain()]:
            if not entry.ticket.done():
                entry.ticket.set_exception(error)
        self._intents.give_up(error)
        self._claimed.set()
        self._admit()
        self._settled.set()

    def _check_settled(self) -> None:
        if self._fatal is not None or (self._buffer.reads == 0 and self._buffer.is_empty and not self._line and not self._unacked):
            self._settled.set()
