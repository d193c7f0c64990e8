"""Writes between their arrival at the sink and their commit: bounded, in order, ripe by size or by age."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from helix_ray.records import ApiCall, ReadResult

Ticket = TypeVar("Ticket")


@dataclass(frozen=True, slots=True)
class Entry(Generic[Ticket]):
    """One caller's write, kept whole. ``ticket`` wakes the caller."""

    results: Sequence[ReadResult]
    calls: Sequence[ApiCall]
    ticket: Ticket
    since: float  # monotonic seconds


class SinkBuffer(Generic[Ticket]):
    """``bound``: the largest number of reads. One write larger than that is admitted when the buffer is empty."""

    def __init__(self, batch_size: int, flush_interval_s: float, bound: int) -> None:
        self._batch_size = batch_size
        self._flush_interval_s = flush_interval_s
        self._bound = bound
        self._entries: deque[Entry[Ticket]] = deque()
        self._taken = 0  # reads on their way into the database
        self._waiting = 0

    @property
    def reads(self) -> int:
        """Held and not committed."""
        return self._waiting + self._taken

    @property
    def is_empty(self) -> bool:
        return not self._entries

    def has_room(self, reads: int) -> bool:
        return self.reads == 0 or self.reads + reads <= self._bound

    def add(self, entry: Entry[Ticket]) -> None:
        """Precondition: `has_room`."""
        self._entries.append(entry)
        self._waiting += len(entry.results)

    def due_in(self, now: float) -> float | None:
        """Seconds until the next batch is ripe, 0: now; None: the buffer is empty."""
        if not self._entries:
            return None
        if self._waiting >= self._batch_size:
            return 0.0
        return max(0.0, self._entries[0].since + self._flush_interval_s - now)

    def take(self) -> list[Entry[Ticket]]:
        """The oldest writes, until they make up a batch."""
        batch: list[Entry[Ticket]] = []
        reads = 0
        while self._entries and (not batch or reads + len(self._entries[0].results) <= self._batch_size):
            entry = self._entries.popleft()
            batch.append(entry)
            reads += len(entry.results)
        self._waiting -= reads
        self._taken += reads
        return batch

    def release(self, batch: list[Entry[Ticket]]) -> None:
        """The batch is committed, or given up."""
        self._taken -= sum(len(entry.results) for entry in batch)

    def drain(self) -> list[Entry[Ticket]]:
        """All that was not taken, to be given up."""
        entries = list(self._entries)
        self._entries.clear()
        self._waiting = 0
        return entries
