"""Permits from the throttle, requested many at a time: one `acquire` and one report outstanding, whatever the number of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from helix_ray.analyzer.ports import ThrottlePort
from helix_ray.clock import Clock
from helix_ray.throttle.messages import Permit, PermitRequest, Refusal, Settlement
from helix_ray.waiting.group_commit import GroupCommit

Answer = Permit | Refusal | None
Report = str | tuple[Settlement, float | None]
"""The id of a permit request that is withdrawn, or how a permit ended and when its request was sent."""


class PermitClient:
    """Batches permit requests, withdrawals and settlements. `run` must be running for a permit to come."""

    def __init__(self, throttle: ThrottlePort, clock: Clock) -> None:
        self._throttle = throttle
        self._clock = clock
        self._waiting: dict[str, tuple[PermitRequest, asyncio.Future[Answer]]] = {}
        self._wanted = asyncio.Event()
        self._reports: GroupCommit[Report] = GroupCommit(self._report, clock)
        self.withdrawals = 0  # a permit that came before the last `withdraw_all` and was not used yet is not to be used

    async def acquire(self, request: PermitRequest) -> Answer:
        """A permit, the throttle's refusal, or None when `withdraw_all` came first."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[request.want_id] = (request, future)
        self._wanted.set()
        try:
            return await future
        except asyncio.CancelledError:
            if self._waiting.pop(request.want_id, None) is not None:
                self._reports.add(request.want_id)
            elif future.done() and not future.cancelled() and isinstance(permit := future.result(), Permit):
                self.settle(Settlement(permit.permit_id, "not_sent"))
            raise

    def settle(self, settlement: Settlement, sent_at: float | None = None) -> None:
        """Report how a permit ended. ``sent_at``: the clock's monotonic seconds when its request was sent; None: not sent."""
        self._reports.add((settlement, sent_at))

    def withdraw_all(self) -> None:
        """Answer every waiting `acquire` with None and give up its place in the throttle's wait queue."""
        self.withdrawals += 1
        waiting, self._waiting = self._waiting, {}
        for want_id, (_, future) in waiting.items():
            self._reports.add(want_id)
            if not future.done():
                future.set_result(None)

    async def flush(self) -> None:
        """Return when the throttle has every settlement reported so far. Raises the error of a report that failed."""
        await self._reports.flush()

    async def run(self, on_concurrency: Callable[[int | None], None] = lambda _: None) -> None:
        """Request permits until cancelled. Raises an error of a call to the throttle.

        ``on_concurrency`` gets the concurrency limit of each reply: requests in flight, over all holders; None: not bounded.
        """
        while True:
            await self._wanted.wait()
            await asyncio.sleep(0)  # callers that are about to ask join this call
            asked = [request for request, _ in self._waiting.values()]
            if not asked:
                self._wanted.clear()
                continue
            reply = await self._throttle.acquire(asked)
            self._reports.check()
            on_concurrency(reply.concurrency)
            for permit in reply.grants:
                self._answer(permit.want_id, permit)
            if reply.refusal is not None:
                for request in asked:
                    self._answer(request.want_id, reply.refusal)

    def _answer(self, want_id: str, answer: Permit | Refusal) -> None:
        _, future = self._waiting.pop(want_id, (None, None))
        if future is not None and not future.done():
            future.set_result(answer)
        elif isinstance(answer, Permit):  # withdrawn while the request was on its way
            self.settle(Settlement(answer.permit_id, "not_sent"))

    async def _report(self, reports: list[Report]) -> None:
        withdrawn = [report for report in reports if isinstance(report, str)]
        if withdrawn:
            await self._throttle.withdraw(withdrawn)
        now = self._clock.monotonic()
        settlements = [
            settlement if sent_at is None else settlement._replace(sent_at_age_s=max(0.0, now - sent_at))
            for settlement, sent_at in (report for report in reports if not isinstance(report, str))
        ]
        if settlements:
            await self._throttle.settle(settlements)
