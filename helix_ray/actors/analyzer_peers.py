"""Queue, throttle and sink as an analysis engine sees them: asked by name, through their restarts."""

from __future__ import annotations

from collections.abc import Sequence

from helix_ray.actors import names, peers
from helix_ray.queueing.messages import LeaseReply
from helix_ray.records import ApiCall, ReadResult
from helix_ray.throttle.messages import AcquireReply, PermitRequest, Settlement

WAIT_S = 2.0
ANSWER_MARGIN_S = 10.0
"""Beyond a wait that was asked for: a peer that is slower than this is taken for dead, and the call is repeated."""


class AnalyzerPeers:
    """Queue, throttle and sink as the engine's ports."""

    def __init__(self, holder: str) -> None:
        self._holder = holder

    async def lease(self, max_reads: int) -> LeaseReply:
        timeout_s = WAIT_S + ANSWER_MARGIN_S
        reply: LeaseReply = await peers.call(names.QUEUE, "lease", self._holder, max_reads, WAIT_S, timeout_s=timeout_s)
        return reply

    async def extend(self, lease_ids: list[str]) -> list[str]:
        lost: list[str] = await peers.call(names.QUEUE, "extend", self._holder, lease_ids, timeout_s=ANSWER_MARGIN_S)
        return lost

    async def nack(self, lease_id: str, fence: int, read_indices: list[int]) -> None:
        await peers.call(names.QUEUE, "nack", self._holder, lease_id, fence, read_indices, timeout_s=ANSWER_MARGIN_S)

    async def acquire(self, wants: list[PermitRequest]) -> AcquireReply:
        timeout_s = WAIT_S + ANSWER_MARGIN_S
        reply: AcquireReply = await peers.call(names.THROTTLE, "acquire", self._holder, wants, WAIT_S, timeout_s=timeout_s)
        return reply

    async def withdraw(self, want_ids: list[str]) -> None:
        await peers.call(names.THROTTLE, "withdraw", self._holder, want_ids, timeout_s=ANSWER_MARGIN_S)

    async def settle(self, settlements: list[Settlement]) -> None:
        await peers.call(names.THROTTLE, "settle", self._holder, settlements, timeout_s=ANSWER_MARGIN_S)

    async def stop(self, message: str) -> None:
        await peers.call(names.THROTTLE, "stop", message, timeout_s=ANSWER_MARGIN_S)

    async def intend(self, calls: Sequence[ApiCall]) -> None:
        """As `write`: without the database nothing is sent."""
        await peers.call(names.SINK, "intend", self._holder, calls)

    async def write(self, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> None:
        """As long as it takes: a sink without its database makes its callers wait."""
        await peers.call(names.SINK, "write", self._holder, results, calls)
