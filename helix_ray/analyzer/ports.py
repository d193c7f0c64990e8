"""What the analysis engine asks of the rest of the pipeline. The actor answers by calling its peers; tests answer by hand.

Every method may be repeated. A method that reaches a peer which is away waits for it; HelixError, ConnectionError and
TimeoutError mean that it may be tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from helix_ray.queueing.messages import LeaseReply
from helix_ray.records import ApiCall, Intent, ReadResult, Receipt, Refused
from helix_ray.throttle.messages import AcquireReply, Exchange


@dataclass(frozen=True, slots=True)
class DrainReply:
    """How a drain ended: reads handed back to the queue, and results that the sink has not confirmed yet."""

    returned: int
    unsaved: int = 0


class QueuePort(Protocol):
    async def lease(self, max_reads: int, received: str | None) -> LeaseReply:
        """A bounded long poll. ``received``: the lease that the last one brought."""

    async def extend(self, lease_ids: list[str]) -> list[str]:
        """The ids that are lost."""

    async def nack(self, lease_id: str, fence: int, read_indices: list[int]) -> None: ...


class ThrottlePort(Protocol):
    async def exchange(self, told: Exchange) -> AcquireReply:
        """Returns at once, or while it asks for permits, after a bounded long poll: as soon as one is granted or all are refused."""

    async def stop(self, message: str) -> None: ...


class SinkPort(Protocol):
    async def intend(self, intents: Sequence[Intent], receipts: Sequence[Receipt]) -> list[Refused]:
        """Puts answers on record that arrived, and requests that are about to be sent, but those that it refuses; returns after the
        commit.
        """

    async def write(self, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> None:
        """Returns after the commit."""
