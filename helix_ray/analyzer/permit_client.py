"""Permits from the throttle: one call for all that is asked and told, and none while a chunk that was leased ahead lasts.

Asking never waits for company: the first request goes at once, and what comes meanwhile shares the next call. What is only told (how
permits ended) rides along, and travels alone when no call takes it in time.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from helix_ray.analyzer.ports import ThrottlePort
from helix_ray.clock import Clock
from helix_ray.throttle.messages import (
    AHEAD_S,
    MOST_AHEAD,
    AcquireReply,
    Ahead,
    Exchange,
    Permit,
    PermitRequest,
    Refusal,
    Settlement,
)

LINGER_S = 0.02
"""For which a settlement waits for a call that it can share."""
PATIENCE_S = 0.25
"""The same, while calls are answered that soon and others follow, or every limit has ample room."""

_AHEAD_FOR_S = 0.25  # of requests at the present rate
_RATE_OVER = 128  # requests

Answer = Permit | Refusal | None
Report = str | tuple[Settlement, float | None]
"""The id of a permit request that is withdrawn, or how a permit ended and when its request was sent."""


class _Held(NamedTuple):
    """A permit that was leased ahead."""

    permit: Permit
    like: PermitRequest
    leased_at: float
    until: float  # it may be used


class PermitClient:
    """`run` must be running for a permit to come."""

    def __init__(self, throttle: ThrottlePort, clock: Clock, linger_s: float = LINGER_S) -> None:
        self._throttle = throttle
        self._clock = clock
        self._linger_s = self._patience_s = linger_s
        self._waiting: dict[str, tuple[PermitRequest, asyncio.Future[Answer]]] = {}
        self._told: set[str] = set()  # of these, what the throttle knows of
        self._ahead: dict[str, _Held] = {}  # by id, the oldest first
        self._leased = False  # something, since the throttle was told what is held
        self._ample = False  # the throttle leases ahead all that is wanted
        self._recent: deque[tuple[float, PermitRequest]] = deque(maxlen=_RATE_OVER)
        self._wanted = asyncio.Event()
        self._asking = False
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
        now = self._clock.monotonic()
        self._recent.append((now, request))
        if (ahead := self._take_ahead(request, now)) is not None:
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
        self._asking = True
        asked = {want_id: request for want_id, (request, _) in self._waiting.items()}
        waiting = [want_id for want_id in asked if want_id in self._told]
        began, withdrawals, ahead = self._clock.monotonic(), self.withdrawals, self._next_ahead()
        try:
            reply = await self._call(Exchange([asked[name] for name in asked if name not in self._told], waiting, ahead=ahead))
        finally:
            self._asking = False
        self._told.update(asked)
        self._told.difference_update(reply.unknown)
        for permit in reply.grants:
            self._answer(permit.want_id, permit)
        if reply.refusal is not None:
            for want_id in asked:
                self._answer(want_id, reply.refusal)
        self._told.intersection_update(self._waiting)
        took_s = self._clock.monotonic() - began
        self._keep_ahead(ahead, reply, began, given_up=withdrawals != self.withdrawals)
        if reply.concurrency is not None:
            self._patience_s = 0.0  # an end makes room for the next request
        elif self._ample or (self._told and took_s < PATIENCE_S):
            self._patience_s = PATIENCE_S
        else:
            self._patience_s = self._linger_s
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
            return await self._throttle.exchange(told._replace(settlements=settlements, withdrawn=withdrawn))
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

    def _take_ahead(self, request: PermitRequest, now: float) -> Permit | None:
        """The oldest permit, if it is large enough. It is the throttle's to say whether a failed request may be sent again."""
        self._return_expired()
        want_id, held = next(iter(self._ahead.items()), ("", None))
        if held is None or request.retry or not _covers(held.like, request):
            return None
        del self._ahead[want_id]
        if self._runs_short():
            self._wanted.set()
        return held.permit._replace(expires_in_s=held.permit.expires_in_s - (now - held.leased_at))

    def _return_ahead(self, which: Callable[[_Held], bool] = lambda held: True) -> None:
        for want_id in [name for name, held in self._ahead.items() if which(held)]:
            self._report((Settlement(self._ahead.pop(want_id).permit.permit_id, "not_sent"), None))

    def _return_expired(self) -> None:
        now = self._clock.monotonic()
        self._return_ahead(lambda held: held.until <= now)

    def _target(self) -> int:
        """How many permits to hold ahead."""
        if len(self._recent) < 2:
            return 0
        seconds = max(_AHEAD_FOR_S, self._clock.monotonic() - self._recent[0][0])
        return min(MOST_AHEAD, int(_AHEAD_FOR_S * len(self._recent) / seconds))

    def _runs_short(self) -> bool:
        return self._ample and 3 * len(self._ahead) <= self._target() > 0

    def _next_ahead(self) -> Ahead | None:
        """None: nothing is held, and nothing wanted."""
        target = self._target()
        if not self._leased and not target:
            return None
        requests = [request for _, request in self._recent]
        like = requests[-1]._replace(
            prompt_tokens=max(request.prompt_tokens for request in requests),
            max_completion_tokens=max(request.max_completion_tokens for request in requests),
            worst_case_usd=max(request.worst_case_usd for request in requests),
            retry=False,
        )
        self._return_expired()
        self._return_ahead(lambda held: not _covers(held.like, like))
        return Ahead(like, list(self._ahead), [str(uuid.uuid4()) for _ in range(target - len(self._ahead))])

    def _keep_ahead(self, ahead: Ahead | None, reply: AcquireReply, leased_at: float, *, given_up: bool) -> None:
        """``given_up``: `withdraw_all` came while the call was under way."""
        if ahead is None:
            self._ample = False
            return
        kept = {permit.want_id: permit for permit in reply.ahead}
        for want_id in ahead.held:
            if want_id in self._ahead and want_id in kept:
                self._ahead[want_id] = self._ahead[want_id]._replace(until=leased_at + AHEAD_S)
            elif want_id in self._ahead:
                self._report((Settlement(self._ahead.pop(want_id).permit.permit_id, "not_sent"), None))
        self._leased = bool(kept)
        self._ample = len(kept) == len(ahead.held) + len(ahead.more) > 0 and not given_up
        for permit in (kept[want_id] for want_id in ahead.more if want_id in kept):
            self._ahead[permit.want_id] = _Held(permit, ahead.like, leased_at, leased_at + AHEAD_S)
        if given_up:
            self._return_ahead()
        for want_id, (request, _) in list(self._waiting.items()):  # that came meanwhile
            if want_id not in self._told and (early := self._take_ahead(request, self._clock.monotonic())) is not None:
                self._answer(want_id, early)
        self._due.set()

    # ── what is only told ────────────────────────────────────────────────────────────────────────────────────────────────

    def _report(self, report: Report) -> None:
        if not self._reports:
            self._reported_at = self._clock.monotonic()
        self._reports.append(report)
        self._due.set()

    async def _tell(self) -> None:
        """A call that asks for nothing."""
        if not self._reports:
            return
        ahead = None if self._asking or not self._leased else self._next_ahead()
        if ahead is not None:
            self._leased = bool(ahead.held)
            ahead = ahead._replace(more=[])
        await self._call(Exchange(ahead=ahead))

    async def _tell_in_time(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            while self._reports or self._ahead:
                now = self._clock.monotonic()
                self._return_expired()
                due_at = self._reported_at + self._patience_s if self._reports else min(held.until for held in self._ahead.values())
                if due_at > now:
                    await self._clock.sleep(min(due_at - now, PATIENCE_S))
                elif self._reports:
                    await self._tell()


def _covers(larger: PermitRequest, request: PermitRequest) -> bool:
    return (
        larger.service_tier == request.service_tier
        and larger.prompt_tokens >= request.prompt_tokens
        and larger.max_completion_tokens >= request.max_completion_tokens
        and larger.worst_case_usd >= request.worst_case_usd
    )
