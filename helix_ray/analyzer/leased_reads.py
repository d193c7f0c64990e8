"""The reads that this analyzer holds, and their leases.

accept ──► held ──finish──► unsaved ──commit──► gone
             └──give_back──► returned to the queue       └ or drop: the lease was lost before anything was sent
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from helix_ray.queueing.messages import Lease
from helix_ray.records import Read


@dataclass(slots=True, eq=False)
class ReadTask:
    """One read from its lease to its result: the lease, its retries so far (see `RetryPolicy`), and what its next request may be."""

    read: Read
    lease_id: str
    queue_ms: float
    lost: bool = False  # the lease is gone; an answer that was paid for is stored all the same
    cost_usd: Decimal = Decimal(0)  # its shares of the answered requests that it was in

    failures: int = 0  # of the API, counted against retry.max_attempts
    unattributed_failures: int = 0  # that may be those of an outage
    failed_after: int | None = None  # requests of this analyzer that had been sent when it last failed; None: it never did
    rests: int = 0  # each may be twice as long as the one before
    unprocessable_once: bool = False  # a second 422 is a dead letter
    repairs: int = 0  # requests that followed an unusable answer
    unusable: list[str] = field(default_factory=list)  # requests whose answers held nothing for it

    max_batch: int | None = None  # reads at most in its next request, itself included; None: as many as configured
    more_room: bool = False  # its answer was cut off: the next may be longer
    max_completion_tokens: int | None = None  # for its answer, since a request with more was too large
    on_demand: bool = False  # the flex tier had no room for it

    @property
    def alone(self) -> bool:
        """It shares its next request with no other read."""
        return self.max_batch == 1

    @property
    def retrying(self) -> bool:
        """Its next request is one of those that retry.max_share bounds."""
        return self.failed_after is not None


@dataclass(slots=True)
class _Lease:
    fence: int
    remaining: set[int] = field(default_factory=set)  # read indices neither committed nor returned


class LeasedReads:
    def __init__(self) -> None:
        self._tasks: dict[int, ReadTask] = {}
        self._leases: dict[str, _Lease] = {}
        self._returns: dict[str, tuple[int, list[int]]] = {}
        self.held = 0  # reads not finished yet

    def accept(self, lease: Lease) -> list[ReadTask]:
        """The tasks that are new. A read that is here already (its former lease expired) goes on under the new lease."""
        entry = self._leases[lease.lease_id] = _Lease(lease.fence, set(lease.batch.read_index))
        tasks: list[ReadTask] = []
        for read, queue_ms in zip(lease.batch.rows(), lease.queue_ms, strict=True):
            known = self._tasks.get(read.read_index)
            if known is not None:
                self._forget(known)
                known.lease_id, known.lost = lease.lease_id, False
                continue
            task = self._tasks[read.read_index] = ReadTask(read, lease.lease_id, queue_ms)
            tasks.append(task)
        self.held += len(tasks)
        if not entry.remaining:
            del self._leases[lease.lease_id]
        return tasks

    def lease_ids(self) -> list[str]:
        return list(self._leases)

    def lose(self, lease_ids: Iterable[str]) -> None:
        """These leases expired: reads that were not sent yet belong to the queue again."""
        for lease_id in lease_ids:
            entry = self._leases.pop(lease_id, None)
            for index in entry.remaining if entry else ():
                self._tasks[index].lost = True

    def finish(self, task: ReadTask) -> None:
        """It has its result, which waits for its commit under the lease."""
        self.held -= 1

    def commit(self, read_indices: Iterable[int]) -> None:
        for index in read_indices:
            task = self._tasks.pop(index, None)
            if task is not None:
                self._forget(task)

    def settle(self, task: ReadTask) -> None:
        """Forget a read that has its row: an answer of another holder was stored."""
        self.finish(task)
        self.commit([task.read.read_index])

    def drop(self, task: ReadTask) -> None:
        """Forget a lost read that nothing was sent for. The next analyzer that leases it does the work."""
        self._tasks.pop(task.read.read_index, None)
        self.held -= 1

    def give_back(self, task: ReadTask) -> None:
        """Take the read out, to be returned to the queue by the next `take_returns`."""
        entry = self._leases.get(task.lease_id)
        if entry is not None and not task.lost:
            self._returns.setdefault(task.lease_id, (entry.fence, []))[1].append(task.read.read_index)
        self._forget(task)
        self.drop(task)

    @property
    def has_returns(self) -> bool:
        return bool(self._returns)

    def take_returns(self) -> list[tuple[str, int, list[int]]]:
        """(lease id, fence, read indices) to return to the queue."""
        returns = [(lease_id, fence, indices) for lease_id, (fence, indices) in self._returns.items()]
        self._returns.clear()
        return returns

    def _forget(self, task: ReadTask) -> None:
        entry = self._leases.get(task.lease_id)
        if entry is not None:
            entry.remaining.discard(task.read.read_index)
            if not entry.remaining:
                del self._leases[task.lease_id]
