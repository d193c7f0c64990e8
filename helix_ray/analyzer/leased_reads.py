"""Which reads this analyzer holds, and under which lease.

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
class Job:
    """One read on its way to its result."""

    read: Read
    lease_id: str
    queue_ms: float
    failures: int = 0  # of the API, counted against retry.max_attempts
    unproven: int = 0  # failures that nobody can tell from an outage
    setbacks: int = 0  # all rests so far: each may be twice as long as the one before
    failed_after: int | None = None  # requests of this analyzer that had been sent when it last failed
    retrying: bool = False  # its next request is one of those that retry.max_share bounds
    doubted: bool = False  # its content was found to be unprocessable once
    repairs: int = 0  # how often it was asked again because its answer could not be used
    companions: int | None = None  # reads at most that it shares its next request with; None: as many as configured
    cut_off: bool = False  # its answer was: the repair's may be longer
    most_tokens: int | None = None  # for its answer, since a request with more was too large
    on_demand: bool = False  # the flex tier had no room for it
    cost_usd: Decimal = Decimal(0)  # its shares of the answered requests that it was in
    lost: bool = False  # the lease is gone; an answer that was paid for is stored all the same
    finished: bool = False

    @property
    def alone(self) -> bool:
        """It shares its next request with no other read."""
        return self.companions == 0


@dataclass(slots=True)
class _Held:
    fence: int
    remaining: set[int] = field(default_factory=set)  # read indices neither committed nor returned


class HeldReads:
    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._leases: dict[str, _Held] = {}
        self._returns: dict[str, tuple[int, list[int]]] = {}
        self.held = 0  # reads not finished yet

    def accept(self, lease: Lease) -> list[Job]:
        """The jobs that are new. A read that is here already (its former lease expired) goes on under the new lease."""
        entry = self._leases[lease.lease_id] = _Held(lease.fence, set(lease.batch.read_index))
        jobs: list[Job] = []
        for read, queue_ms in zip(lease.batch.rows(), lease.queue_ms, strict=True):
            known = self._jobs.get(read.read_index)
            if known is not None:
                self._forget(known)
                known.lease_id, known.lost = lease.lease_id, False
                continue
            job = self._jobs[read.read_index] = Job(read, lease.lease_id, queue_ms)
            jobs.append(job)
        self.held += len(jobs)
        if not entry.remaining:
            del self._leases[lease.lease_id]
        return jobs

    def lease_ids(self) -> list[str]:
        return list(self._leases)

    def lose(self, lease_ids: Iterable[str]) -> None:
        """These leases expired: what was not sent yet is not ours any more."""
        for lease_id in lease_ids:
            entry = self._leases.pop(lease_id, None)
            for index in entry.remaining if entry else ():
                self._jobs[index].lost = True

    def finish(self, job: Job) -> None:
        job.finished = True
        self.held -= 1

    def commit(self, read_indices: Iterable[int]) -> None:
        for index in read_indices:
            job = self._jobs.pop(index, None)
            if job is not None:
                self._forget(job)

    def drop(self, job: Job) -> None:
        """A lost read that nothing was sent for: whoever leases it next does the work."""
        self._jobs.pop(job.read.read_index, None)
        self.held -= 1

    def give_back(self, job: Job) -> None:
        """Takes the read out, to be returned to the queue by the next `take_returns`."""
        entry = self._leases.get(job.lease_id)
        if entry is not None and not job.lost:
            self._returns.setdefault(job.lease_id, (entry.fence, []))[1].append(job.read.read_index)
        self._forget(job)
        self.drop(job)

    @property
    def has_returns(self) -> bool:
        return bool(self._returns)

    def take_returns(self) -> list[tuple[str, int, list[int]]]:
        """(lease id, fence, read indices) to return to the queue."""
        returns = [(lease_id, fence, indices) for lease_id, (fence, indices) in self._returns.items()]
        self._returns.clear()
        return returns

    def _forget(self, job: Job) -> None:
        entry = self._leases.get(job.lease_id)
        if entry is not None:
            entry.remaining.discard(job.read.read_index)
            if not entry.remaining:
                del self._leases[job.lease_id]
