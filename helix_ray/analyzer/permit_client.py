"""Permits from the throttle: one call for all that is asked and told, and none while a chunk that was leased ahead lasts.

Asking never waits for company: the first request goes at once, and what comes meanwhile shares the next call. What is only told (how
permits ended) rides along, and travels alone when no call takes it in time.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from helix_ray.analyzer.ports import ThrottlePort
from helix_ray.clock import Clock
from helix_ray.throttle.messages import AHEAD_S, AcquireReply, Exchange, Permit, PermitRequest, Refusal, Settlement

LINGER_S = 0.02
"""For which a settlement waits for a call that it can share."""
PATIENCE_S = 0.3
"""The same, while calls are answered that soon and others follow, or every limit has ample room."""

_AHEAD_FOR_S = 0.4  # of requests at the present rate
_MANY, _RATE_OVER = 16, 128  # requests
MOST_AHEAD = 48  # permits
_SIZES = ("prompt_tokens", "max_completion_tokens", "worst_case_usd")

Answer = Permit | Refusal | None
Report = str | tuple[Settlement, float | None]
"""The id of a permit request that is withdrawn, or how a permit ended and when its request was sent."""


class _Held(NamedTuple):
    """A permit that was leased ahead."""

    permit: Permit
    request: PermitRequest
    leased_at: float  # monotonic seconds


class PermitClient:
    """`run` must be running for a permit to come."""

    def __init__(self, throttle: ThrottlePort, clock: Clock, linger_s: float = LINGER_S) -> None:
        self._throttle = throttle
        self._clock = clock
        self._linger_s = self._patience_s = linger_s
        self._waiting: dict[str, tuple[PermitRequest, asyncio.Future[Answer]]] = {}
        self._told: set[str] = set()  # of these, what the throttle knows of
        self._ahead: deque[_Held] = deque()  # the oldest first
        self._ample = False  # the throttle leases ahead all that is wanted
        self._recent: deque[tuple[float, PermitRequest]] = deque(maxlen=_RATE_OVER)
        self._wanted = asyncio.Event()
        self._reports: list[Report] = []
        self._reported_at = 0.0  # the first of them
        self._due = asyncio.Event()
        self._calls = 0  # under way
        self._group: asyncio.TaskGroup | None = None
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.withdrawals = 0  # a permit that came before the last `withdraw_all` and was not used yet is not to be used

    async def acquire(self, request: PermitRequest) -> Answer:
        """A permit, the throttle's refusal, or None when `withdraw_all` came first."""
        self._recent.append((self._clock.monotonic(), request))
        if (ahead := self._take_ahead(request)) is not None:
            return ahead
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[request.want_id] = (request, future)
        self._wanted.set()
        try:
            return await future
        except asyncio.CancelledError:
            if self._waiting.pop(request.want_id, None) is not None:
                self._report(request.want_id)
            elif future.done() and not future.cancelled() and isinstance(permit := future.result(), Permit):
                self.settle(Settlement(permit.permit_id, "not_sent"))
            raise

    def settle(self, settlement: Settlement, sent_at: float | None = None) -> None:
        """Report how a permit ended. ``sent_at``: the clock's monotonic seconds when its request was sent; None: not sent."""
        self._report((settlement, sent_at))
        if settlement.limited is not None or settlement.trouble is not None:  # less room than was thought
            self._return_ahead()
            self._ample = False
            if self._group is not None:
                self._group.create_task(self._tell())

    def withdraw_all(self) -> None:
        """Answer every waiting `acquire` with None and give up its place in the throttle's wait queue, and all that was leased ahead."""
        self.withdrawals += 1
        waiting, self._waiting = self._waiting, {}
        for want_id, (_, future) in waiting.items():
            self._report(want_id)
            if not future.done():
                future.set_result(None)
        self._return_ahead()
        self._ample = False

    async def flush(self) -> None:
        """Return when the throttle has every settlement reported so far, and every permit that is not in use."""
        self._return_ahead()
        while self._reports or self._calls:
            await self._tell()
            await self._quiet.wait()

    async def run(self, on_concurrency: Callable[[int | None], None] = lambda _: None) -> None:
        """Request permits until cancelled. Raises an error of a call to the throttle.

        ``on_concurrency`` gets the concurrency limit of each reply: requests in flight, over all holders; None: not bounded.
        """
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._tell_in_time())
            while True:
                await self._wanted.wait()
                await asyncio.sleep(0)  # callers that are about to ask join this call
                self._wanted.clear()
                while self._waiting or self._runs_short():
                    on_concurrency(await self._ask())

    async def _ask(self) -> int | None:
        """One call for all that waits, and for what is leased ahead."""
        asked = {want_id: request for want_id, (request, _) in self._waiting.items()}
        waiting = [want_id for want_id in asked if want_id in self._told]
        ahead = {request.want_id: request for request in self._expected()}
        began, withdrawals = self._clock.monotonic(), self.withdrawals
        reply = await self._call(Exchange([*(asked[name] for name in asked if name not in self._told), *ahead.values()], waiting))
        self._told.update(asked)
        self._told.difference_update(reply.unknown)
        granted = [_Held(permit, ahead[permit.want_id], began) for permit in reply.grants if permit.want_id in ahead]
        self._ahead += granted
        for permit in reply.grants:
            if permit.want_id not in ahead:
                self._answer(permit.want_id, permit)
        if reply.refusal is not None:
            for want_id in asked:
                self._answer(want_id, reply.refusal)
        self._told.intersection_update(self._waiting)
        self._ample = withdrawals == self.withdrawals and bool(granted if ahead else self._ample and self._ahead)
        if not self._ample:
            self._return_ahead()
        for want_id, (request, _) in list(self._waiting.items()):  # that came meanwhile
            if want_id not in self._told and (permit_ahead := self._take_ahead(request)) is not None:
                self._answer(want_id, permit_ahead)
        if reply.concurrency is not None:
            self._patience_s = 0.0  # an end makes room for the next request
        elif self._ample or (self._told and self._clock.monotonic() - began < PATIENCE_S):
            self._patience_s = PATIENCE_S
        else:
            self._patience_s = self._linger_s
        self._due.set()
        return reply.concurrency

    async def _call(self, told: Exchange) -> AcquireReply:
        """With everything that is to be reported."""
        now = self._clock.monotonic()
        reports, self._reports = self._reports, []
        withdrawn = [report for report in reports if isinstance(report, str)]
        settlements = [
            settlement if sent_at is None else settlement._replace(sent_at_age_s=max(0.0, now - sent_at))
            for settlement, sent_at in (report for report in reports if not isinstance(report, str))
        ]
        self._calls += 1
        self._quiet.clear()
        try:
            return await self._throttle.exchange(told._replace(settlements=settlements, withdrawn=withdrawn, unused=len(self._ahead)))
        finally:
            self._calls -= 1
            if not self._calls:
                self._quiet.set()

    def _answer(self, want_id: str, answer: Permit | Refusal) -> None:
        _, future = self._waiting.pop(want_id, (None, None))
        if future is not None and not future.done():
            future.set_result(answer)
        elif isinstance(answer, Permit):  # withdrawn while the request was on its way
            self.settle(Settlement(answer.permit_id, "not_sent"))

    # ── what was leased ahead ────────────────────────────────────────────────────────────────────────────────────────────

    def _take_ahead(self, request: PermitRequest) -> Permit | None:
        """The oldest permit, if it is large enough. It is the throttle's to say whether a failed request may be sent again."""
        now = self._clock.monotonic()
        self._return_ahead(now - AHEAD_S)
        if not self._ahead or request.retry or not _covers(self._ahead[0].request, request):
            return None
        held = self._ahead.popleft()
        if self._runs_short():
            self._wanted.set()
        return held.permit._replace(expires_in_s=held.permit.expires_in_s - (now - held.leased_at))

    def _return_ahead(self, leased_until: float = inf) -> None:
        while self._ahead and self._ahead[0].leased_at <= leased_until:
            self._report((Settlement(self._ahead.popleft().permit.permit_id, "not_sent"), None))

    def _target(self) -> int:
        """How many permits to hold ahead."""
        if len(self._recent) < _MANY:
            return 0
        seconds = max(_AHEAD_FOR_S, self._clock.monotonic() - self._recent[0][0])
        return min(MOST_AHEAD, int(_AHEAD_FOR_S * len(self._recent) / seconds))

    def _runs_short(self) -> bool:
        return self._ample and 3 * len(self._ahead) <= self._target() > 0

    def _expected(self) -> list[PermitRequest]:
        """Requests to lease permits for ahead, each as large as the largest of late."""
        target = self._target()
        if not target:
            return []
        requests = [request for _, request in self._recent]
        sizes = {name: max(getattr(request, name) for request in requests) for name in _SIZES}
        largest = requests[-1]._replace(retry=False, ahead=True, **sizes)
        if self._ahead and not _covers(self._ahead[0].request, largest):
            self._return_ahead()
        return [largest._replace(want_id=str(uuid.uuid4())) for _ in range(target - len(self._ahead))]

    # ── what is only told ────────────────────────────────────────────────────────────────────────────────────────────────

    def _report(self, report: Report) -> None:
        if not self._reports:
            self._reported_at = self._clock.monotonic()
        self._reports.append(report)
        self._due.set()

    async def _tell(self) -> None:
        """A call that asks for nothing."""
        if self._reports:
            await self._call(Exchange())

    async def _tell_in_time(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            while self._reports or self._ahead:
                now = self._clock.monotonic()
                self._return_ahead(now - AHEAD_S)
                due_at = self._reported_at + self._patience_s if self._reports else self._ahead[0].leased_at + AHEAD_S
                if due_at > now:
                    await self._clock.sleep(min(due_at - now, PATIENCE_S))
                elif self._reports:
                    await self._tell()


def _covers(larger: PermitRequest, request: PermitRequest) -> bool:
    sizes = all(getattr(larger, name) >= getattr(request, name) for name in _SIZES)
    return sizes and larger.service_tier == request.service_tier
