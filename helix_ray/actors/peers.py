"""How one actor calls another: by name, through that actor's restarts.

A call that was cut off may have been carried out, so this is only for methods that may be called twice. All of ours may.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from helix_ray.actors import names
from helix_ray.errors import HelixError
from helix_ray.waiting.backoff import backoff_s

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
METRICS_TIMEOUT_S = 1.0

_handles: dict[str, Any] = {}


class _GoneError(Exception):
    """The peer gave no answer: it is dead, restarting, not created yet, or too slow."""


async def call(name: str, method: str, *args: Any, timeout_s: float | None = None, give_up_after_s: float | None = None) -> Any:
    """What the named actor's method returns; asks again while the actor is away.

    ``timeout_s`` bounds each attempt (None: as long as the actor lives). ``give_up_after_s`` bounds all of them (None: for
    ever, since the pipeline brings every actor back); after it the last Ray error or TimeoutError is raised. Errors of
    `helix_ray.errors` arrive as they were raised, others as Ray's error with the remote traceback; neither is asked again.
    """
    give_up_at = None if give_up_after_s is None else time.monotonic() + give_up_after_s
    attempt = 0
    while True:
        attempt += 1
        try:
            return await _attempt(name, method, args, timeout_s)
        except _GoneError as gone:
            pause_s = backoff_s(attempt, FIRST_PAUSE_S, LONGEST_PAUSE_S)
            if give_up_at is not None and time.monotonic() + pause_s > give_up_at:
                raise gone.__cause__ or gone from None
        await asyncio.sleep(pause_s)


async def call_or_none(name: str, method: str, *args: Any, timeout_s: float = METRICS_TIMEOUT_S) -> Any:
    """One attempt, None when the actor is away: for what matters less than the caller's work, such as metrics."""
    try:
        return await _attempt(name, method, args, timeout_s)
    except _GoneError:
        return None


def forget(name: str | None = None) -> None:
    """Drops the cached handle of this actor, or of all: for a process that joins another cluster."""
    if name is None:
        _handles.clear()
    else:
        _handles.pop(name, None)


async def _attempt(name: str, method: str, args: tuple[Any, ...], timeout_s: float | None) -> Any:
    handle = _handles.get(name) or await _look_up(name)
    try:
        return await asyncio.wait_for(_answer(handle, method, args), timeout_s)
    except RayTaskError as error:  # before TimeoutError: it is also one when the remote method raised one
        cause = error.cause
        while isinstance(cause, RayTaskError):
            cause = cause.cause
        if isinstance(cause, HelixError):
            raise cause from None
        raise
    except (RayError, TimeoutError) as error:  # dead, restarting, out of memory, or too slow
        forget(name)
        raise _GoneError(f"{name} does not answer") from error


async def _look_up(name: str) -> Any:
    try:
        # asks Ray's control service and blocks meanwhile: not on the event loop
        _handles[name] = handle = await asyncio.to_thread(ray.get_actor, name, names.NAMESPACE)
    except ValueError as error:  # no actor of this name now
        raise _GoneError(f"{name} does not exist") from error
    return handle


async def _answer(handle: Any, method: str, args: tuple[Any, ...]) -> Any:
    return await getattr(handle, method).remote(*args)
