"""The sink without Ray: collects writes into batches, commits them through outages, acknowledges them to the queue.

A write returns after its commit. While the database is away callers wait, which is the backpressure on the analyzers. When it
stays away for ``outage_timeout_s``, the sink gives up for good, and every call raises that.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from helix_ray.clock import Clock
from helix_ray.config import SinkConfig
from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import DatabaseLostError, DriverGoneError, HelixError, InvariantError
from helix_ray.metrics.reports import SinkReport, nearest_rank
from helix_ray.records import ApiCall, Disposition, Intent, ReadResult, Receipt, Refused
from helix_ray.sink.buffer import Entry, SinkBuffer
from helix_ray.sink.open_requests import OpenRequests
from helix_ray.sink.outages import AWAY, Outages
from helix_ray.storage.integrity import CORRUPTED, Checksum, verified
from helix_ray.storage.ledger import Ledger
from helix_ray.storage.spool import discard, orphans
from helix_ray.waiting.group_commit import GroupCommit
from helix_ray.waiting.long_poll import resolve

log = event_logger(__name__)

BUFFERED_BATCHES = 4
"""Batches' worth of reads that may wait: one in the database, the rest to keep it busy."""


REMEMBERED = 4096
"""Requests whose permit was taken back."""

LONGEST_BLINK_S = 1.0
"""After this time without a successful commit of rows no request is sent: its answer would have no place."""


@dataclass(slots=True)
class _Group:
    """What one caller puts on record, and the reply to it."""

    holder: str
    intents: Sequence[Intent]
    receipts: Sequence[Receipt]
    refused: list[Refused] = field(default_factory=list)
    error: HelixError | None = None  # the receipts are on record, the requests are not, and none may be sent


class WriteReply(NamedTuple):
    committed: list[int]  # read indices of this write that have their row now


class SinkEngine:
    """``ack`` tells the queue what is committed. ``announce`` gets committed reads for the dashboard and may drop them.

    ``checksum`` is taken of every read that has one, before its row is written; a damaged read becomes a dead letter.
    ``intents`` is the ledger on a connection of its own, for requests that are about to be sent, so that these never wait behind
    a batch of reads. None: ``ledger`` serves those too. ``in_charge`` says whether the driver lives: without it nothing may be sent.
    ``spool``: the folder in which processes of this run keep answers; those of dead ones go on record before the next request.
    """

    def __init__(
        self,
        run_id: str,
        ledger: Ledger,
        config: SinkConfig,
        clock: Clock,
        *,
        checksum: Checksum,
        ack: Callable[[list[int]], Awaitable[object]],
        announce: Callable[[list[ReadResult]], None] = lambda results: None,
        intents: Ledger | None = None,
        in_charge: Callable[[], bool] = lambda: True,
        spool: Path | None = None,
    ) -> None:
        self._run_id = run_id
        self._ledger = ledger
        self._clock = clock
        self._checksum = checksum
        self._ack = ack
        self._announce = announce
        self._outages = Outages(config.outage_timeout_s, clock, run_id)
        self._intents_ledger = intents or ledger
        self._in_charge = in_charge
        self._spool = spool
        self._open = OpenRequests()
        self._revoked: dict[str, None] = {}  # ids of requests whose permit was taken back
        self._unsaved: Counter[int] = Counter()  # reads whose result is in here, not committed
        self._intents_outages = Outages(config.outage_timeout_s, clock, run_id, "requests")
        self._intents: GroupCommit[_Group] = GroupCommit(self._write_intents, clock, retry_on=AWAY, pause_s=self._outages.pause_s)
        self._acks: GroupCommit[list[int]] = GroupCommit(self._write_acks, clock)
        self._unacked = 0
        self._claimed = asyncio.Event()  # or given up
        self._buffer: SinkBuffer[asyncio.Future[None]] = SinkBuffer(
            config.batch_size, config.flush_interval_s, BUFFERED_BATCHES * config.batch_size
        )
        self._door = asyncio.Lock()  # held by the first write that waits for room, so that no later one overtakes it
        self._room = asyncio.Event()
        self._work = asyncio.Event()
        self._flushing = False
        self._settled = asyncio.Event()
        self._settled.set()
        self._committing: asyncio.Task[None] | None = None
        self._commits_ms: deque[float] = deque(maxlen=200)
        self._commit_s = 0.0
        self._commit_began: float | None = None  # of the one under way
        self._reads = self._calls = self._suppressed = self._replayed = self._unstorable = self._corrupted = 0
        self._batches = 0
        self._fatal: HelixError | None = None

    async def start(self) -> None:
        """Claim the run, whose only writer this is, then commit what is written. Idempotent."""
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_forever())

    async def write(self, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> WriteReply:
        """Return after the commit. Raises DatabaseLostError when the database is given up; what is not committed is not acked."""
        indices = [result.read.read_index for result in results]
        self._unsaved.update(indices)
        self._open.end(call.call_id for call in calls)
        try:
            await self._committed(results, calls)
        finally:
            self._unsaved.subtract(indices)
            for index in indices:
                if not self._unsaved[index]:
                    del self._unsaved[index]
        return WriteReply(sorted(set(indices)))

    async def _committed(self, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> None:
        await self.start()
        async with self._door:
            while self._fatal is None and not self._buffer.has_room(len(results)):
                self._room.clear()
                await self._room.wait()
        if self._fatal is not None:
            raise self._fatal
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        was_empty = self._buffer.is_empty
        self._buffer.add(Entry(results, calls, committed, self._clock.monotonic()))
        self._settled.clear()
        if was_empty or self._buffer.due_in(self._clock.monotonic()) == 0:
            self._work.set()
        await committed

    async def intend(self, holder: str, intents: Sequence[Intent], receipts: Sequence[Receipt] = ()) -> list[Refused]:
        """Put receipts and requests on record, as `Ledger.intend`; waits while the database is away.

        ``holder``: see `OpenRequests`; with nothing else it says that this incarnation has begun. Requests that are not refused may be
        sent. Raises DriverGoneError when the driver has ended, and DatabaseLostError while rows cannot be committed: then none may be,
        but the receipts are on record.
        """
        self._open.seen(holder)
        if not intents and not receipts:
            return []
        await self._until_claimed()
        group = _Group(holder, intents, receipts)
        await self._intents.commit(group)
        if group.error is not None:
            raise group.error
        return group.refused

    async def revoke(self, call_ids: list[str]) -> list[str]:
        """Which of these requests are on record; the others are refused from now on. Waits while the database is away."""
        await self._until_claimed()
        self._revoked = dict.fromkeys([*self._revoked, *call_ids][-REMEMBERED:])
        await self._intents.commit(_Group("", [], []))  # behind a write under way
        try:
            known, _ = await self._outages.through(lambda: self._ledger.on_record(self._run_id, call_ids))
        except DatabaseLostError as lost:
            self._give_up(lost, [])
            raise
        for call_id in known:  # which may be put on record again, should its reply be lost
            self._revoked.pop(call_id, None)
        return known

    async def authorise(self, total_usd: Decimal) -> Decimal:
        """Commit what the throttle may spend or reserve, US dollars; the committed total. Waits while the database is away."""
        await self._until_claimed()
        try:
            return (await self._outages.through(lambda: self._ledger.authorise(self._run_id, total_usd)))[0]
        except DatabaseLostError as lost:
            self._give_up(lost, [])
            raise

    async def flush(self) -> None:
        """Commit what is held without waiting for a full batch, and return when the queue has the acks too."""
        self._flushing = True
        self._work.set()
        await self._settled.wait()
        self._flushing = False
        if self._fatal is not None:
            raise self._fatal

    async def stop(self) -> None:
        """Flush, then end. Idempotent, also before `start`."""
        try:
            if self._committing is not None and self._fatal is None:
                await self.flush()
        finally:
            committing, self._committing = self._committing, None
            if committing is not None:
                committing.cancel()
                await asyncio.gather(committing, return_exceptions=True)
            for commits in (self._acks, self._intents):
                await commits.stop(DatabaseLostError("the sink was stopped"))
            await self._intents_ledger.aclose()
            await self._ledger.aclose()

    def check(self) -> None:
        """Raise what ended a background task. A database that was given up is reported by `stats` and every write instead."""
        if self._committing is not None and self._committing.done():
            self._committing.result()
        self._acks.check()

    def stats(self) -> SinkReport:
        return SinkReport(
            buffered=self._buffer.reads,
            committed_reads=self._reads,
            committed_calls=self._calls,
            suppressed=self._suppressed,
            replayed=self._replayed,
            unstorable=self._unstorable,
            corrupted=self._corrupted,
            batches=self._batches,
            retries=self._outages.retries,
            commit_s=self._commit_s + (0.0 if self._commit_began is None else self._clock.monotonic() - self._commit_began),
            unacked=self._unacked,
            outage_s=max(self._outages.seconds, self._intents_outages.seconds),
            commit_ms_p50=nearest_rank(self._commits_ms, 50),
            commit_ms_p95=nearest_rank(self._commits_ms, 95),
            last_error=self._outages.last_error or self._intents_outages.last_error,
            fatal_error=None if self._fatal is None else str(self._fatal),
        )

    async def _until_claimed(self) -> None:
        await self.start()
        await self._claimed.wait()
        if self._fatal is not None:
            raise self._fatal

    async def _commit_forever(self) -> None:
        try:
            await self._outages.through(lambda: self._ledger.claim(self._run_id))
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
                self._give_up(DatabaseLostError(f"the sink failed: {type(error).__name__}"), batch, error)
                raise
            finally:
                self._buffer.release(batch)
                self._room.set()
            self._check_settled()

    async def _ripen(self) -> None:
        """Wait until a batch is full, old enough or asked for."""
        while True:
            self._work.clear()
            due_s = self._buffer.due_in(self._clock.monotonic())
            if due_s is not None and (due_s == 0 or self._flushing):
                return
            waits: list[asyncio.Task[object]] = [asyncio.create_task(self._work.wait())]
            if due_s is not None:
                waits.append(asyncio.create_task(self._clock.sleep(due_s)))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waits:
                    task.cancel()

    async def _commit(self, batch: list[Entry[asyncio.Future[None]]]) -> None:
        results = verified([result for entry in batch for result in entry.results], self._checksum)
        calls = [call for entry in batch for call in entry.calls]
        began = self._commit_began = self._clock.monotonic()
        outcome, attempts = await self._outages.through(lambda: self._ledger.write_batch(self._run_id, results, calls))
        took_s, self._commit_began = self._clock.monotonic() - began, None
        self._commits_ms.append(took_s * 1000)
        self._commit_s += took_s
        self._batches += 1
        self._reads += len(outcome.inserted) + len(outcome.poisoned)
        self._calls += len(calls)
        self._unstorable += len(outcome.poisoned)
        if attempts == 1:
            self._suppressed += len(outcome.suppressed)
        else:  # most likely our own rows, committed by an attempt that was cut off
            self._reads += len(outcome.suppressed)
            self._replayed += len(outcome.suppressed)
        self._unacked += len(outcome.committed)
        if outcome.committed:
            self._acks.add(outcome.committed)
        for entry in batch:
            resolve(entry.ticket, None)
        fresh = set(outcome.inserted)
        for index, _ in outcome.poisoned:
            log.warning(Event.DEAD_LETTER, read_index=index, error_kind="unstorable")
        for result in results:
            if result.disposition is Disposition.DEAD_LETTER and result.read.read_index in fresh:
                facts = {"error_kind": result.error_kind, "attempts": result.attempts, "call_id": result.call_id}
                log.warning(Event.DEAD_LETTER, read_index=result.read.read_index, facts=facts)
        self._corrupted += sum(result.error_kind == CORRUPTED for result in results if result.read.read_index in fresh)
        self._announce([result for result in results if result.read.read_index in fresh])

    async def _write_intents(self, groups: list[_Group]) -> None:
        left = orphans(self._spool) if self._spool is not None else []
        receipts = [receipt for orphan in left for receipt in orphan.receipts]
        receipts += [receipt for group in groups for receipt in group.receipts]
        error = self._no_sending()
        taken = {intent.call.call_id: self._open.begin(group.holder, intent.call) for group in groups for intent in group.intents}
        revoked = [call_id for call_id in taken if call_id in self._revoked]
        self._open.end(revoked)
        kept_back = {*revoked, *(call_id for call_id, reads in taken.items() if reads)}
        intents = [] if error is not None else [it for group in groups for it in group.intents if it.call.call_id not in kept_back]
        # as of now: a result that is committed meanwhile may be too late for what the ledger looks up, and gone from here
        unsaved = {index for intent in intents for index in intent.call.read_indices if index in self._unsaved}
        try:
            refused = await self._intents_ledger.intend(self._run_id, intents, receipts, unsaved)
        except AWAY as away:
            try:
                self._intents_outages.failed(away)
            except DatabaseLostError as lost:  # no row may be under way that would find this out
                self._give_up(lost, [])
            raise
        self._intents_outages.answered()
        discard(left)
        error = error or self._no_sending()
        by_call = {each.call_id: each for each in refused}
        by_call |= {call_id: Refused(call_id, [], reads, []) for call_id, reads in taken.items() if reads}
        by_call |= {call_id: Refused(call_id, [], [], []) for call_id in revoked}
        self._open.end(taken if error is not None else by_call)
        for group in groups:
            group.error = error if group.intents else None
            group.refused = [by_call[name] for intent in group.intents if (name := intent.call.call_id) in by_call]

    def _no_sending(self) -> HelixError | None:
        """Why no request may leave now, whatever it asks."""
        if not self._in_charge():
            return DriverGoneError("the driver of this run has ended; nothing more is sent")
        if self._outages.seconds >= LONGEST_BLINK_S:
            return DatabaseLostError("rows cannot be committed; nothing is sent until they can")
        return None

    async def _write_acks(self, groups: list[list[int]]) -> None:
        indices = [index for group in groups for index in group]
        try:
            await self._ack(indices)
        except Exception as error:
            self._give_up(InvariantError(f"the queue refused an ack: {type(error).__name__}"), [], error)
            raise
        self._unacked -= len(indices)
        self._check_settled()

    def _give_up(self, error: HelixError, batch: list[Entry[asyncio.Future[None]]], cause: BaseException | None = None) -> None:
        if self._fatal is None:
            self._fatal = error
            log.error(Event.SINK_FAILED, reads_not_stored=self._buffer.reads, exc_info=cause or error)
        for entry in [*batch, *self._buffer.drain()]:
            if not entry.ticket.done():
                entry.ticket.set_exception(error)
        self._intents.close(error)
        self._claimed.set()
        self._room.set()
        self._settled.set()

    def _check_settled(self) -> None:
        if self._fatal is not None or (self._buffer.reads == 0 and self._buffer.is_empty and not self._door.locked() and not self._unacked):
            self._settled.set()
