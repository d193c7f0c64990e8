"""Replies of the queue: values from closed sets, so that callers need no exceptions."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from helix_ray.records import ReadBatch


@dataclass(frozen=True, slots=True)
class PutReply:
    """The end of one bounded put.

    ``admitted``: every read of the batch is in the queue, held by an analyzer, or done. ``full``: some found no room within
    the wait; put the same batch again. ``closed``: the queue takes no more input.
    """

    status: Literal["admitted", "full", "closed"]
    incarnation: str
    admitted: int  # reads that entered the queue by this call


@dataclass(frozen=True, slots=True)
class Lease:
    """Reads handed to one holder until ``deadline_s`` passes without an `extend`.

    The fence grows with every lease of this queue. It guards extending and returning, never the storing of an answer.
    """

    lease_id: str
    fence: int
    deadline_s: float  # seconds from the reply
    batch: ReadBatch
    queue_ms: list[float]  # per read, from its admission to this lease
    deliveries: list[int]  # per read, how often it was leased, this lease included


@dataclass(frozen=True, slots=True)
class LeaseReply:
    """``closed``: nothing is left and nothing will come, or leasing has ended. ``empty``: nothing came within the wait."""

    status: Literal["granted", "empty", "closed"]
    incarnation: str
    lease: Lease | None


@dataclass(frozen=True, slots=True)
class DoneReply:
    """Read indices that need no work, as half-open ranges. Not known in full before ``opened``."""

    incarnation: str
    ranges: list[tuple[int, int]]
    opened: bool


@dataclass(frozen=True, slots=True)
class QueueStats:
    """Counts of reads unless said otherwise; counters run from this queue's start (its incarnation)."""

    incarnation: str
    waiting: int
    redelivered: int  # returned or expired, served before the waiting
    leased: int
    admitted: int
    acked: int  # held reads that were acknowledged
    nacked: int
    expired: int  # came back because a deadline passed or their holder was released
    blocked_now: int  # puts
    blocked_puts: int  # puts that found no room at once
    blocked_seconds: float  # summed over all puts
    max_queue_depth: int  # of waiting
    max_redelivered: int
    max_leased: int
    max_held: int  # of waiting + redelivered + leased
    capacity: int
    input_closed: bool
    producers_finished: int  # producers
    total_reads: int | None  # what all producers together offer; None until every one has finished
    gate_closed: bool  # not opened yet: nothing enters or leaves

    def counters(self) -> dict[str, float]:
        """Every number, for the metrics."""
        numbers = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "incarnation"}
        return {name: float(value) for name, value in numbers.items() if value is not None}
