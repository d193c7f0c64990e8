"""The throttle as an actor: waiting is done here, deciding in `throttle.governor`.

One event loop and no concurrency groups. A waiting call costs one future; after every event, and at the moment when time
alone makes room for the head of the wait queue, `_pump` asks the governor to decide and wakes the calls it decided about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal

from helix_ray.actors import peers
from helix_ray.actors.api import THROTTLE, ThrottleApi, begin_incarnation
from helix_ray.actors.heartbeat import Heartbeat
from helix_ray.clock import SystemClock
from helix_ray.config import ThrottleConfig
from helix_ray.environment.logs import RunLog
from helix_ray.records import DesiredState, PastUse
from helix_ray.throttle.governor import Governor
from helix_ray.throttle.messages import AcquireReply, Exchange, ThrottleStats
from helix_ray.waiting.long_poll import Waiters, within

SWEEP_INTERVAL_S = 1.0  # between expiries of permits and of silent requests
BUNCH_S = 0.1  # between two bunches of grants, while time alone makes room more often than that: a call for each permit costs more


class ThrottleActor(ThrottleApi):
    """``request_timeout_s``: the analyzers' deadline for one attempt, from which the lifetime of a permit follows.
    ``most_in_flight``: the requests that all analyzers together can have in flight. ``retry_share``: ``retry.max_share``.
    ``authorise`` puts on record what may be spent; None: no authorisation is needed. ``analyzers``: their number.
    """

    def __init__(
        self,
        config: ThrottleConfig,
        request_timeout_s: float = 60.0,
        most_in_flight: int = 1024,
        retry_share: float = 1.0,
        authorise: peers.Authorise | None = None,
        analyzers: int = 1,
        run_log: RunLog | None = None,
    ) -> None:
        self._config = config
        self._analyzers = analyzers
        self._now = SystemClock().monotonic
        self._incarnation = begin_incarnation(THROTTLE, run_log)
        self._governor = Governor(config, request_timeout_s, self._incarnation, most_in_flight, retry_share)
        self._cost_authorization = None if authorise is None else peers.CostAuthorization(authorise, self._authorised)
        if authorise is not None:
            self._governor.authorise(Decimal(0))
        self._calls = Waiters()  # by request
        self._timer: asyncio.TimerHandle | None = None
        self._bunching = False  # the next bunch is due when the timer says so
        self._reclaiming: asyncio.Task[None] | None = None
        self._beat_task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        if self._beat_task is None:
            self._beat_task = asyncio.create_task(self._beat())
        return self._incarnation

    async def ping(self) -> str:
        if self._beat_task is not None and self._beat_task.done():
            self._beat_task.result()
        return self._incarnation

    async def exchange(self, holder: str, told: Exchange, wait_s: float = 2.0) -> AcquireReply:
        await self.start()
        want_ids = [*told.waiting, *(request.want_id for request in told.requests if not request.ahead)]
        unknown = self._governor.tell(holder, told, self._now())
        decided = self._calls.enter(want_ids)
        try:
            if not self._bunching:
                self._pump()
            self._governor.give_ahead(holder, told.requests, self._now())
            asked = [*told.waiting, *(request.want_id for request in told.requests)]
            reply = self._governor.collect(asked, self._now())
            if want_ids and not (reply.grants or unknown) and reply.refusal is None:
                await within(decided, wait_s)
                reply = self._governor.collect(want_ids, self._now())
            return reply._replace(unknown=unknown)
        finally:
            self._calls.leave(want_ids, decided)
            self._governor.leave(want_ids, self._now())

    async def release(self, holder: str) -> None:
        self._governor.release(holder, self._now())
        self._pump()

    async def restore(
        self,
        spent_usd: Decimal,
        past: Sequence[PastUse] | None = (),
        provisional: bool = False,
        only: str = "",
        limits: Mapping[str, float] | None = None,
    ) -> str:
        if only in ("", self._incarnation):
            self._governor.restore(spent_usd, past, self._now(), provisional=provisional, limits=limits or {})
            self._pump()
        return await self.start()

    async def set_budget(self, max_cost_usd: Decimal) -> None:
        self._governor.set_budget(max_cost_usd)
        self._pump()

    async def stop(self, message: str) -> None:
        self._governor.stop(message)
        self._pump()

    async def stats(self) -> ThrottleStats:
        self._pump()
        return self._governor.stats(self._now())

    def _authorised(self, total_usd: Decimal) -> None:
        self._governor.authorise(total_usd)
        self._pump()

    def _pump(self) -> None:
        for want_id in self._governor.advance(self._now()):
            self._calls.wake(want_id)
        if self._cost_authorization is not None and (total_usd := self._governor.to_authorise()) is not None:
            self._cost_authorization.request(total_usd)
        if (self._reclaiming is None or self._reclaiming.done()) and (overdue := self._governor.overdue(self._now())):
            self._reclaiming = asyncio.create_task(self._reclaim(overdue))
        if self._timer is not None:
            self._timer.cancel()
        ready_s = self._governor.next_ready_in_s(self._now())
        self._bunching = ready_s is not None and ready_s < BUNCH_S
        delay_s = BUNCH_S if self._bunching else min(ready_s or SWEEP_INTERVAL_S, SWEEP_INTERVAL_S)
        if not self._governor.idle:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._pump)

    async def _reclaim(self, want_ids: list[str]) -> None:
        on_record = await peers.revoke(want_ids)
        self._governor.reclaim(want_ids, on_record, self._now())
        self._pump()

    async def _beat(self) -> None:
        await Heartbeat().beat(THROTTLE, lambda: self._governor.stats(self._now()), self._apply)

    def _apply(self, state: DesiredState) -> None:
        cap_usd = self._config.max_cost_usd if state.max_cost_usd is None else state.max_cost_usd
        self._governor.set_budget(Decimal(str(cap_usd)))
        if state.requests_in_flight is not None:
            self._governor.raise_most_in_flight(self._analyzers * state.requests_in_flight)
        self._pump()
