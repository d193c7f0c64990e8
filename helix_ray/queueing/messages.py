"""Replies of the queue: values from closed sets, so that callers need no exceptions."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Literal

from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import ReadBatch
from helix_ray.records.marks import COUNTER, GAUGE, MAXIMUM, Kind, kind_of


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
    """Read indices that need no work. Not known in full before ``opened``."""

    incarnation: str
    ranges: IndexRanges
    opened: bool


@dataclass(frozen=True, slots=True)
class QueueStats:
    """Counts of reads unless said otherwise; counters run from this queue's start (its incarnation)."""

    incarnation: str
    waiting: int = field(metadata=GAUGE)
    redelivered: int = field(metadata=GAUGE)  # returned or expired, served before the waiting
    leased: int = field(metadata=GAUGE)
    admitted: int = field(metadata=COUNTER)
    acked: int = field(metadata=COUNTER)  # held reads that were acknowledged
    nacked: int = field(metadata=COUNTER)
    expired: int = field(metadata=COUNTER)  # came back: a deadline passed, their holder was released or never got them
    blocked_now: int = field(metadata=GAUGE)  # puts
    blocked_puts: int = field(metadata=COUNTER)  # puts that found no room at once
    blocked_seconds: float = field(metadata=COUNTER)  # summed over all puts
    max_queue_depth: int = field(metadata=MAXIMUM)  # of waiting
    max_redelivered: int = field(metadata=MAXIMUM)
    max_leased: int = field(metadata=MAXIMUM)
    max_held: int = field(metadata=MAXIMUM)  # of waiting + redelivered + leased
    capacity: int = field(metadata=GAUGE)
    input_closed: bool = field(metadata=GAUGE)
    producers_finished: int = field(metadata=GAUGE)  # producers
    total_reads: int | None = field(metadata=GAUGE)  # what all producers together offer; None until every one has finished
    gate_closed: bool = field(metadata=GAUGE)  # not opened yet: nothing enters or leaves

    def after(self, before: QueueStats) -> QueueStats:
        """These statistics with the maxima and the blocked time of earlier incarnations."""
        maxima = {it.name: max(getattr(before, it.name), getattr(self, it.name)) for it in fields(self) if kind_of(it) is Kind.MAXIMUM}
        return replace(self, blocked_seconds=before.blocked_seconds + self.blocked_seconds, **maxima)
