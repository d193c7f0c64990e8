"""Leases: which holder has which reads until when. Every way out of a lease is idempotent: reads no longer held are not found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from helix_ray.records import PackedRead, Read

QueuedRead = PackedRead | Read


@dataclass(slots=True)
class Entry:
    """A read inside the queue, from its admission to its acknowledgement."""

    read: QueuedRead
    admitted_at: float  # monotonic seconds
    deliveries: int = 0


@dataclass(slots=True)
class HeldLease:
    lease_id: str
    fence: int
    holder: str
    deadline: float  # monotonic seconds
    entries: dict[int, Entry]  # by read index, in the order of delivery


class LeaseBook:
    """Leases in force. A read is in at most one of them; a lease without reads is removed."""

    def __init__(self, timeout_s: float, incarnation: str) -> None:
        self._timeout_s = timeout_s
        self._incarnation = incarnation
        self._fence = 0
        self._leases: dict[str, HeldLease] = {}
        self._lease_of: dict[int, HeldLease] = {}
        self._newest: dict[str, str] = {}  # by holder: the lease that it was granted last
        self._next_deadline = math.inf  # never later than the earliest one, so that most sweeps cost nothing

    @property
    def count(self) -> int:
        """Leased reads."""
        return len(self._lease_of)

    def __contains__(self, read_index: int) -> bool:
        return read_index in self._lease_of

    def __iter__(self) -> Iterator[int]:
        """The indices of leased reads."""
        return iter(self._lease_of)

    def grant(self, holder: str, entries: list[Entry], now: float) -> HeldLease:
        self._fence += 1
        deadline = now + self._timeout_s
        # the incarnation is part of the id, so that a lease of an earlier queue is never mistaken for one of this
        lease = HeldLease(f"{self._incarnation}-{self._fence}", self._fence, holder, deadline, {})
        for entry in entries:
            entry.deliveries += 1
            lease.entries[entry.read.read_index] = entry
            self._lease_of[entry.read.read_index] = lease
        self._leases[lease.lease_id] = lease
        self._newest[holder] = lease.lease_id
        self._next_deadline = min(self._next_deadline, deadline)
        return lease

    def extend(self, holder: str, lease_ids: Iterable[str], now: float) -> list[str]:
        """Extend the deadlines of this holder's leases; the ids that it does not hold (any more)."""
        lost = []
        for lease_id in lease_ids:
            lease = self._leases.get(lease_id)
            if lease is None or lease.holder != holder:
                lost.append(lease_id)
            else:
                lease.deadline = now + self._timeout_s
        return lost

    def give_back(self, holder: str, lease_id: str, fence: int, read_indices: Iterable[int]) -> list[Entry]:
        """Take these reads out of a lease, if this holder still has it under this fence."""
        lease = self._leases.get(lease_id)
        if lease is None or lease.holder != holder or lease.fence != fence:
            return []
        return [self._take(lease, index) for index in read_indices if index in lease.entries]

    def remove(self, read_index: int) -> bool:
        """Take out one read, whichever holder has it; False when it is not leased."""
        lease = self._lease_of.get(read_index)
        if lease is None:
            return False
        self._take(lease, read_index)
        return True

    def not_received(self, holder: str, received: str | None) -> list[Entry]:
        """Take back the lease that this holder was granted last, unless it is ``received``: its reply never arrived."""
        newest = self._newest.pop(holder, None)
        return self._take_all([self._leases[newest]] if newest in self._leases and newest != received else [])

    def expired(self, now: float) -> list[Entry]:
        """Take back what is past its deadline, in the order of leasing."""
        if now < self._next_deadline:
            return []
        overdue = [lease for lease in self._leases.values() if lease.deadline <= now]
        entries = self._take_all(overdue)
        self._next_deadline = min((lease.deadline for lease in self._leases.values()), default=math.inf)
        return entries

    def release(self, holder: str) -> list[Entry]:
        """Take back all that this holder has."""
        return self._take_all([lease for lease in self._leases.values() if lease.holder == holder])

    def _take_all(self, leases: list[HeldLease]) -> list[Entry]:
        return [self._take(lease, index) for lease in leases for index in list(lease.entries)]

    def _take(self, lease: HeldLease, read_index: int) -> Entry:
        del self._lease_of[read_index]
        entry = lease.entries.pop(read_index)
        if not lease.entries:
            del self._leases[lease.lease_id]
        return entry
