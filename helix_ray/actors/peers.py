"""How one actor calls another: by name, through that actor's restarts.

A call that was cut off may have been carried out, so this is only for methods that may be called twice. All of ours may.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any, Concatenate

import ray
from ray.exceptions import RayError, RayTaskError

from helix_ray.actors import api
from helix_ray.actors.api import QUEUE, SINK, THROTTLE, A, Address, P, QueueApi, R, SinkApi, ThrottleApi
from helix_ray.environment.logs import Event, event_logger
from helix_ray.errors import HelixError
from helix_ray.queueing.messages import DoneReply, LeaseReply, PutReply
from helix_ray.records import ApiCall, Intent, ReadBatch, ReadResult, Receipt, Refused
from helix_ray.throttle.messages import AcquireReply, Exchange
from helix_ray.waiting.backoff import backoff_s

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
METRICS_TIMEOUT_S = 1.0
WAIT_S = 2.0
"""How long a queue or a throttle may keep a call until it has something to answer."""

ANSWER_MARGIN_S = 10.0
"""Beyond a wait that was asked for: a peer that is slower than this is taken for dead, and the call is repeated."""

log = event_logger(__name__)

_handles: dict[str, Any] = {}
_away: dict[str, float] = {}  # peers without an answer, and since when (monotonic seconds)


class PeerAwayError(Exception):
    """The peer gave no answer: it is dead, restarting, not created yet, or too slow. Its cause is Ray's error, if there is one."""


async def call(to: Address[A], method: Callable[Concatenate[A, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
    """As `call_within`, each attempt lasting as long as the actor lives."""
    return await call_within(None, to, method, *args, **kwargs)


async def call_within(
    timeout_s: float | None, to: Address[A], method: Callable[Concatenate[A, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs
) -> R:
    """What the actor's method returns; asks again while the actor is away, for ever, since the pipeline brings every actor back.

    ``timeout_s`` bounds each attempt. Errors of `helix_ray.errors` arrive as they were raised, others as Ray's error with the
    remote traceback; neither is asked again.
    """
    failures = 0
    while True:
        try:
            return await attempt(timeout_s, to, method, *args, **kwargs)
        except PeerAwayError:
            failures += 1
            await asyncio.sleep(backoff_s(failures, FIRST_PAUSE_S, LONGEST_PAUSE_S))


async def call_or_none(to: Address[A], method: Callable[Concatenate[A, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R | None:
    """One attempt of `METRICS_TIMEOUT_S`, None when the actor is away: for what matters less than the caller's own work."""
    try:
        return await attempt(METRICS_TIMEOUT_S, to, method, *args, **kwargs)
    except PeerAwayError:
        return None


async def attempt(
    timeout_s: float | None, to: Address[A], method: Callable[Concatenate[A, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs
) -> R:
    """One attempt of a call; PeerAwayError when there is no answer."""
    try:
        # a look-up asks Ray's control service and blocks meanwhile: not on the event loop
        handle = _handles[to] = _handles.get(to) or await asyncio.to_thread(ray.get_actor, to)
    except ValueError as error:  # no actor of this name now
        _note_away(to, method.__name__, error)
        raise PeerAwayError(f"{to} does not exist") from error
    try:
        answer: R = await asyncio.wait_for(api.remote(handle, method, *args, **kwargs), timeout_s)
    except RayTaskError as error:  # before TimeoutError: it is also one when the remote method raised one
        cause = raised_by(error)
        if isinstance(cause, HelixError):
            raise cause from None
        raise
    except (RayError, TimeoutError) as error:  # dead, restarting, out of memory, or too slow
        _handles.pop(to, None)
        _note_away(to, method.__name__, error)
        raise PeerAwayError(f"{to} does not answer") from error
    if (since := _away.pop(to, None)) is not None:
        log.info(Event.PEER_BACK, peer=to, away_s=round(time.monotonic() - since, 1))
    return answer


def _note_away(to: str, method: str, error: BaseException) -> None:
    """One line for each absence, however many calls meet it."""
    if to not in _away:
        _away[to] = time.monotonic()
        log.warning(Event.PEER_AWAY, peer=to, call=method, exc_info=error)


def forget() -> None:
    """Drops the cached handles: for a process that joins another cluster."""
    _handles.clear()


def raised_by(error: BaseException) -> BaseException:
    """What really happened in a remote method: a group of tasks reports only that some of them failed."""
    while True:
        if isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
            error = error.cause
        elif isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        else:
            return error


class ProducerPeers:
    """The queue as a producer's `QueuePort`."""

    def __init__(self, index: int) -> None:
        self._index = index

    async def put(self, batch: ReadBatch) -> PutReply:
        return await call_within(WAIT_S + ANSWER_MARGIN_S, QUEUE, QueueApi.put, self._index, batch, WAIT_S)

    async def done_ranges(self) -> DoneReply:
        return await call_within(ANSWER_MARGIN_S, QUEUE, QueueApi.done_ranges)

    async def finish_input(self, total_reads: int | None, incarnation: str) -> str:
        return await call_within(ANSWER_MARGIN_S, QUEUE, QueueApi.finish_input, self._index, total_reads, incarnation)


class AnalyzerPeers:
    """Queue, throttle and sink as an analysis engine's ports."""

    def __init__(self, holder: str, incarnation: str) -> None:
        self._holder = holder
        self._incarnation = f"{holder}@{incarnation}"

    async def lease(self, max_reads: int, received: str | None) -> LeaseReply:
        return await call_within(WAIT_S + ANSWER_MARGIN_S, QUEUE, QueueApi.lease, self._holder, max_reads, WAIT_S, received)

    async def extend(self, lease_ids: list[str]) -> list[str]:
        return await call_within(ANSWER_MARGIN_S, QUEUE, QueueApi.extend, self._holder, lease_ids)

    async def nack(self, lease_id: str, fence: int, read_indices: list[int]) -> None:
        await call_within(ANSWER_MARGIN_S, QUEUE, QueueApi.nack, self._holder, lease_id, fence, read_indices)

    async def exchange(self, told: Exchange) -> AcquireReply:
        return await call_within(WAIT_S + ANSWER_MARGIN_S, THROTTLE, ThrottleApi.exchange, self._holder, told, WAIT_S)

    async def stop(self, message: str) -> None:
        await call_within(ANSWER_MARGIN_S, THROTTLE, ThrottleApi.stop, message)

    async def intend(self, intents: Sequence[Intent], receipts: Sequence[Receipt]) -> list[Refused]:
        """As `write`: without the database nothing is sent."""
        return await call(SINK, SinkApi.intend, self._incarnation, intents, receipts)

    async def write(self, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> None:
        """As long as it takes: a sink without its database makes its callers wait."""
        await call(SINK, SinkApi.write, self._holder, results, calls)


Authorise = Callable[[Decimal], Awaitable[Decimal | None]]
"""Commits this total, US dollars, and returns the committed total. None: not now, request it again."""


async def authorise(total_usd: Decimal) -> Decimal | None:
    """Ask the sink, which commits the total and waits while the database is away. None when the sink has given it up."""
    try:
        return await call(SINK, SinkApi.authorise, total_usd)
    except HelixError as error:
        log.warning(Event.ERROR_HANDLED, what="the sink did not authorise", exc_info=error)
        return None


async def revoke(call_ids: list[str]) -> list[str] | None:
    """Ask the sink which of these requests are on record, and to refuse the others from now on. None when that cannot be found out."""
    try:
        return await attempt(ANSWER_MARGIN_S, SINK, SinkApi.revoke, call_ids)
    except (HelixError, PeerAwayError) as error:
        log.warning(Event.ERROR_HANDLED, what="the sink did not revoke", exc_info=error)
        return None


class CostAuthorization:
    """Keeps at most one authorisation request in flight. ``on_authorised`` receives the committed total in US dollars."""

    def __init__(self, authorise: Authorise, on_authorised: Callable[[Decimal], None]) -> None:
        self._authorise = authorise
        self._on_authorised = on_authorised
        self._asking: asyncio.Task[None] | None = None

    def request(self, total_usd: Decimal) -> None:
        """Request this total, unless a request is in flight. Re-raises an error of the last one."""
        if self._asking is not None and self._asking.done():
            self._asking.result()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(total_usd))

    async def _ask(self, total_usd: Decimal) -> None:
        committed_usd = await self._authorise(total_usd)
        self._asking = None  # before the answer is used, which may need more at once
        if committed_usd is not None:
            self._on_authorised(committed_usd)
