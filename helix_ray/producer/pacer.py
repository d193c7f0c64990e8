"""The rate of one producer: even, and never more than one batch ahead.

A leaky bucket as a meter (the generic cell rate algorithm of ITU-T I.371): one number holds when the next reads are due.
"""

from __future__ import annotations

import math

PIECE_S = 0.25
"""Reads offered at once last about this long, so that a slow rate is a steady trickle and not a batch now and then."""


class Pacer:
    """For one of ``producers`` producers that share a rate. In any T seconds it lets at most rate * T + ``batch_size`` pass.

    All ``now`` are monotonic seconds.
    """

    def __init__(self, producers: int, batch_size: int) -> None:
        self._producers = producers
        self._batch_size = batch_size
        self._rate: float | None = None  # reads/s of this producer
        self._due = -math.inf  # when the next reads may pass

    def set_rate(self, rate_per_s: float | None, now: float) -> None:
        """The rate of all producers together. Waiting that is left is stretched or shortened to the new rate."""
        rate = None if rate_per_s is None else max(0.0, rate_per_s) / self._producers
        if rate == self._rate:
            return
        if rate and self._rate:
            self._due = now + max(0.0, self._due - now) * self._rate / rate
        elif self._rate is not None or rate:
            self._due = now
        self._rate = rate

    def piece(self) -> int:
        """Reads to offer at once at this rate: 1 to the batch size."""
        if self._rate is None:
            return self._batch_size
        return max(1, min(int(self._rate * PIECE_S), self._batch_size // 2))

    def delay_s(self, now: float) -> float:
        """Seconds until the next reads may pass: 0 for now, infinite while the rate is 0."""
        if self._rate is None:
            return 0.0
        return max(0.0, self._due - now) if self._rate else math.inf

    def passed(self, reads: int, now: float) -> None:
        if self._rate:
            # lateness is made up for, but only as far as a burst stays within one batch
            slack_s = max(0, self._batch_size - self.piece()) / self._rate
            self._due = max(self._due, now - slack_s) + reads / self._rate
