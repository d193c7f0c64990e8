"""The queue between the producers and the analyzers: bounded, leased, idempotent by read index. No clock, no waiting, no Ray.

    offered ──► waiting ──► leased ──ack──► done
                              │  ▲
           nack, expiry,      ▼  │ served first
           release        redelivered

A read is in exactly one of these places. ``done`` is final. An acknowledgement leads there from every other place, since a
stored answer counts, whichever holder produced it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import merge

from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import InvariantError
from helix_ray.queueing.leases import Entry, LeaseBook, QueuedRead
from helix_ray.queueing.messages import Lease, QueueStats
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import ReadBatch

log = event_logger(__name__)


@dataclass(eq=False, slots=True)
class BlockedPut:
    """A put that found no room. ``reads`` shrinks and ``admitted`` grows when a part of it is admitted."""

    reads: Sequence[QueuedRead]
    admitted: int
    since: float  # monotonic seconds


@dataclass(slots=True)
class PutLine:
    """Blocked puts in order of arrival, with the time that they spend waiting. ``joined`` counts them all since the start."""

    joined: int = 0
    _puts: dict[BlockedPut, None] = field(default_factory=dict)  # a set that keeps its order
    _past_seconds: float = 0.0

    @property
    def length(self) -> int:
        return len(self._puts)

    @property
    def first(self) -> BlockedPut | None:
        return next(iter(self._puts), None)

    def join(self, reads: Sequence[QueuedRead], admitted: int, now: float) -> BlockedPut:
        put = BlockedPut(reads, admitted, now)
        self._puts[put] = None
        self.joined += 1
        return put

    def leave(self, put: BlockedPut, now: float) -> None:
        """Idempotent."""
        if put in self._puts:
            del self._puts[put]
            self._past_seconds += now - put.since

    def blocked_seconds(self, now: float) -> float:
        """Summed over all puts, the waiting ones included."""
        return self._past_seconds + sum(now - put.since for put in self._puts)


class BoundedQueue:
    """Admits reads while waiting + redelivered <= ``capacity``; once full, no more until they are <= ``low_watermark``.

    All ``now`` are monotonic seconds. Raises InvariantError when the bound does not hold, which only a defect can cause.
    """

    def __init__(self, capacity: int, low_watermark: int, lease_timeout_s: float, incarnation: str) -> None:
        if not 0 <= low_watermark < capacity:
            raise ValueError(f"low_watermark must be from 0 to below capacity, found {low_watermark} with capacity {capacity}")
        self.incarnation = incarnation
        self.opened = False
        self.input_closed = False
        self.leases_closed = False
        self.line = PutLine()
        self._capacity = capacity
        self._low_watermark = low_watermark
        self._lease_timeout_s = lease_timeout_s
        self._blocked = False
        self._waiting: OrderedDict[int, Entry] = OrderedDict()
        self._redelivered: OrderedDict[int, Entry] = OrderedDict()
        self._leases = LeaseBook(lease_timeout_s, incarnation)
        self._done = IndexRanges()  # in the ledger at the opening; never changed, only replaced
        self._newly_done = IndexRanges()  # acknowledged: apart, since ranges far from the end are slow to add
        self._producers = 0
        self._totals: dict[int, int | None] = {}
        self._admitted = self._acked = self._nacked = self._expired = 0
        self._max_waiting = self._max_redelivered = self._max_leased = self._max_held = 0

    def open(self, done: IndexRanges, producers: int) -> None:
        """Start the flow. ``done``: what is already in the ledger; ``producers``: how many will finish the input."""
        # a second opening may know more than the first, and less than the acknowledgements since
        self._done = IndexRanges(merge(self._done, done)) if self._done else done
        self.ack([index for place in (self._waiting, self._redelivered, self._leases) for index in place if index in done])
        self._producers = producers
        self.opened = True

    @property
    def held(self) -> int:
        """Reads inside: waiting, redelivered or leased."""
        return len(self._waiting) + len(self._redelivered) + self._leases.count

    @property
    def accepting(self) -> bool:
        """Whether a new read would be admitted now."""
        return self.opened and not self.input_closed and not self._blocked

    @property
    def servable(self) -> bool:
        """Whether a lease would get reads now."""
        return self.opened and not self.leases_closed and bool(self._waiting or self._redelivered)

    @property
    def exhausted(self) -> bool:
        """Whether no lease will ever get reads again."""
        input_over = self.input_closed or (self.opened and len(self._totals) >= self._producers)
        return self.leases_closed or (input_over and not self.held)

    def offer(self, reads: Sequence[QueuedRead], now: float) -> tuple[int, Sequence[QueuedRead]]:
        """The number admitted, and the reads that found no room, in order.

        Reads that are done or inside already are dropped. The part of a batch that fits is admitted, so that the queue fills
        to its capacity whatever the size of the batches.
        """
        fresh = [read for read in reads if not self._knows(read.read_index)]
        admitted = 0
        if self.accepting:
            room = self._capacity - len(self._waiting) - len(self._redelivered)
            for read in fresh[:room]:
                # the index may stand twice in one offer
                if read.read_index not in self._waiting:
                    self._waiting[read.read_index] = Entry(read, now)
                    admitted += 1
            fresh = fresh[room:]
            self._admitted += admitted
            if len(self._waiting) + len(self._redelivered) > self._capacity:
                raise InvariantError(f"{self._where()}: more than the {self._capacity} reads that the queue may hold")
            self._note()
        return admitted, fresh

    def serve_line(self, now: float) -> list[BlockedPut]:
        """Admit blocked puts while there is room; returns those that are admitted whole and wait no more."""
        served = []
        while self.accepting and (put := self.line.first):
            admitted, put.reads = self.offer(put.reads, now)
            put.admitted += admitted
            if put.reads:
                break  # it keeps its place with what is left of it
            self.line.leave(put, now)
            served.append(put)
        return served

    def asks(self, holder: str, received: str | None) -> int:
        """The holder asks for a lease, having received ``received`` last: redeliver what it was granted since then.

        A grant whose caller gave up before the reply is nobody's: it would be extended by none, and come back only at its
        deadline. The leases that the holder has cannot tell it apart: it forgets one whose reads are committed, maybe before
        their acknowledgement is here.
        """
        entries = self._leases.not_received(holder, received)
        self._expired += len(entries)
        return self._redeliver(entries)

    def lease(self, holder: str, max_reads: int, now: float) -> Lease | None:
        """Up to ``max_reads`` reads, redelivered ones first; None when there is none."""
        entries: list[Entry] = []
        while self.servable and len(entries) < max_reads:
            _, entry = (self._redelivered or self._waiting).popitem(last=False)
            entries.append(entry)
        if not entries:
            return None
        held = self._leases.grant(holder, entries, now)
        self._note()
        return Lease(
            held.lease_id,
            held.fence,
            self._lease_timeout_s,
            ReadBatch.from_rows(entry.read for entry in entries),
            [1000 * (now - entry.admitted_at) for entry in entries],
            [entry.deliveries for entry in entries],
        )

    def extend(self, holder: str, lease_ids: list[str], now: float) -> list[str]:
        """Extend deadlines; the ids that are no longer held (expired, or every read acknowledged)."""
        return self._leases.extend(holder, lease_ids, now)

    def nack(self, holder: str, lease_id: str, fence: int, read_indices: list[int]) -> int:
        """Return reads unanswered, to be redelivered first. Ignored when the lease is no longer this holder's."""
        entries = self._leases.give_back(holder, lease_id, fence, read_indices)
        self._nacked += len(entries)
        return self._redeliver(entries)

    def ack(self, read_indices: list[int]) -> int:
        """Mark stored reads as done, wherever they are; the number that were not done before."""
        fresh = 0
        for index in read_indices:
            fresh += index not in self._done and self._newly_done.add(index)
            if self._waiting.pop(index, None) or self._redelivered.pop(index, None) or self._leases.remove(index):
                self._acked += 1
        self._note()
        return fresh

    def release(self, holder: str) -> int:
        """The holder died: redeliver all that it held."""
        entries = self._leases.release(holder)
        return self._expire(entries, holder=holder, why="its holder was restarted")

    def sweep(self, now: float) -> int:
        """Redeliver what is past its deadline; the number of reads."""
        entries = self._leases.expired(now)
        return self._expire(entries, why="no heartbeat before the deadline")

    def finish_input(self, producer: int, total_reads: int | None) -> None:
        """The producer has offered all its reads, ``total_reads`` of them (done ones included)."""
        self._totals[producer] = total_reads

    def done_ranges(self) -> IndexRanges:
        if self._newly_done:
            self._done, self._newly_done = IndexRanges(merge(self._done, self._newly_done)), IndexRanges()
        return self._done

    def stats(self, now: float) -> QueueStats:
        totals = list(self._totals.values())
        known = [total for total in totals if total is not None]
        finished = self.opened and len(totals) >= self._producers
        return QueueStats(
            incarnation=self.incarnation,
            waiting=len(self._waiting),
            redelivered=len(self._redelivered),
            leased=self._leases.count,
            admitted=self._admitted,
            acked=self._acked,
            nacked=self._nacked,
            expired=self._expired,
            blocked_now=self.line.length,
            blocked_puts=self.line.joined,
            blocked_seconds=self.line.blocked_seconds(now),
            max_queue_depth=self._max_waiting,
            max_redelivered=self._max_redelivered,
            max_leased=self._max_leased,
            max_held=self._max_held,
            capacity=self._capacity,
            input_closed=self.input_closed,
            producers_finished=len(totals),
            total_reads=sum(known) if finished and len(known) == len(totals) else None,
            gate_closed=not self.opened,
        )

    def _knows(self, index: int) -> bool:
        return any(index in place for place in (self._waiting, self._redelivered, self._leases, self._done, self._newly_done))

    def _expire(self, entries: list[Entry], **told: str) -> int:
        self._expired += len(entries)
        if entries:
            log.warning(Event.REDELIVERED, reads=len(entries), facts=told)
        return self._redeliver(entries)

    def _redeliver(self, entries: list[Entry]) -> int:
        # not subject to the capacity: these reads were admitted once, and refusing them would lose them
        self._redelivered.update((entry.read.read_index, entry) for entry in entries)
        self._note()
        return len(entries)

    def _note(self) -> None:
        """Update the maxima and the watermark gate, and check the bound."""
        waiting, redelivered, leased = len(self._waiting), len(self._redelivered), self._leases.count
        if waiting > self._capacity:
            raise InvariantError(f"{self._where()}: more than the {self._capacity} reads that may wait")
        self._max_waiting = max(self._max_waiting, waiting)
        self._max_redelivered = max(self._max_redelivered, redelivered)
        self._max_leased = max(self._max_leased, leased)
        self._max_held = max(self._max_held, waiting + redelivered + leased)
        if waiting + redelivered >= self._capacity:
            self._blocked = True
        elif waiting + redelivered <= self._low_watermark:
            self._blocked = False

    def _where(self) -> str:
        return f"queue {self.incarnation}: {len(self._waiting)} waiting, {len(self._redelivered)} redelivered, {self._leases.count} leased"
