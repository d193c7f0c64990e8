"""What the sink has done since it started."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class SinkStats:
    """Counts are since the actor's start."""

    buffered: int  # reads written to the sink and not committed
    committed_reads: int  # rows inserted or replayed, dead letters for unstorable reads included
    committed_calls: int
    suppressed: int  # reads whose row existed: another answer was first
    replayed: int  # reads whose row existed when a batch was sent again after a lost connection
    unstorable: int
    corrupted: int  # reads whose checksum was no longer the source's
    batches: int
    retries: int
    unacked: int  # committed, and the queue does not know yet
    outage_s: float  # how long the database has not answered; 0: it does
    commit_ms_p50: float | None
    commit_ms_p95: float | None
    last_error: str | None
    fatal_error: str | None  # the database is given up; every further write raises it

    def counters(self) -> dict[str, float]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}


class CommitTimes:
    """Durations of the last commits, in milliseconds."""

    def __init__(self, kept: int = 200) -> None:
        self._times: deque[float] = deque(maxlen=kept)

    def add(self, milliseconds: float) -> None:
        self._times.append(milliseconds)

    def percentile(self, share: float) -> float | None:
        """Nearest rank; None before the first commit."""
        ordered = sorted(self._times)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
