"""Permits from the throttle, asked for many at a time: one `acquire` and one `settle` outstanding, whatever the number of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from helix_ray.analyzer.ports import ThrottlePort
from helix_ray.clock import Clock
from helix_ray.throttle.messages import Grant, Refusal, Settlement, Want

Answer = Grant | Refusal | None


class PermitClient:
    """Batches wants and settlements. `run` must be running for anything to move."""

    def __init__(self, throttle: ThrottlePort, clock: Clock) -> None:
        self._throttle = throttle
        self._clock = clock
        self._wants: dict[str, tuple[Want, asyncio.Future[Answer]]] = {}
        self._wanted = asyncio.Event()
        self._settlements: list[tuple[Settlement, float | None]] = []
        self._withdrawn: list[str] = []
        self._to_tell = asyncio.Event()
        self._told = asyncio.Event()
        self._told.set()
        self.withdrawals = 0  # a permit that came before the last `withdraw_all` and was not used yet is not to be used

    async def acquire(self, want: Want) -> Answer:
        """A permit, the throttle's refusal, or None when `withdraw_all` came first."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._wants[want.want_id] = (want, future)
        self._wanted.set()
        try:
            return await future
        except asyncio.CancelledError:
            if self._wants.pop(want.want_id, None) is not None:
                self._withdraw(want.want_id)
            elif future.done() and not future.cancelled() and isinstance(grant := future.result(), Grant):
                self.settle(Settlement(grant.permit_id, "not_sent"))
            raise

    def settle(self, settlement: Settlement, sent_at: float | None = None) -> None:
        """Hands in how a permit ended. ``sent_at``: the clock's monotonic seconds when its request left."""
        self._settlements.append((settlement, sent_at))
        self._tell()

    def withdraw_all(self) -> None:
        """Answers every waiting `acquire` with None and gives up its place in the throttle's line."""
        self.withdrawals += 1
        wants, self._wants = self._wants, {}
        for want_id, (_, future) in wants.items():
            self._withdraw(want_id)
            if not future.done():
                future.set_result(None)

    async def flush(self) -> None:
        """Returns when the throttle knows every settlement handed in so far."""
        await self._told.wait()

    async def run(self, on_concurrency: Callable[[int | None], None] = lambda _: None) -> None:
        """``on_concurrency`` gets the concurrency limit of each reply: requests in flight, over all holders; None: not bounded."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask(on_concurrency))
            group.create_task(self._report())

    async def _ask(self, on_concurrency: Callable[[int | None], None]) -> None:
        while True:
            await self._wanted.wait()
            await asyncio.sleep(0)  # whoever is about to ask joins this call
            asked = [want for want, _ in self._wants.values()]
            if not asked:
                self._wanted.clear()
                continue
            reply = await self._throttle.acquire(asked)
            on_concurrency(reply.concurrency)
            for grant in reply.grants:
                self._answer(grant.want_id, grant)
            if reply.refusal is not None:
                for want in asked:
                    self._answer(want.want_id, reply.refusal)

    def _answer(self, want_id: str, answer: Grant | Refusal) -> None:
        _, future = self._wants.pop(want_id, (None, None))
        if future is not None and not future.done():
            future.set_result(answer)
        elif isinstance(answer, Grant):  # withdrawn while the question was on its way
            self.settle(Settlement(answer.permit_id, "not_sent"))

    def _withdraw(self, want_id: str) -> None:
        self._withdrawn.append(want_id)
        self._tell()

    def _tell(self) -> None:
        self._to_tell.set()
        self._told.clear()

    async def _report(self) -> None:
        while True:
            await self._to_tell.wait()
            await asyncio.sleep(0)
            self._to_tell.clear()
            withdrawn, self._withdrawn = self._withdrawn, []
            settlements, self._settlements = self._settlements, []
            if withdrawn:
                await self._throttle.withdraw(withdrawn)
            if settlements:
                now = self._clock.monotonic()
                await self._throttle.settle(
                    [item if sent_at is None else item._replace(sent_at_age_s=max(0.0, now - sent_at)) for item, sent_at in settlements]
                )
            if not self._to_tell.is_set():
                self._told.set()
