"""An event loop in simulated time, and processes that can die or stop between any two of their steps.

Every task and timer belongs to the process in whose context it was made. A step of a dead process is never carried out, which is
what SIGKILL does: no handler and no ``finally`` runs. Steps of a stopped process wait until it goes on.
"""

import asyncio
import heapq
from collections.abc import Callable
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any


class Killed(BaseException):
    """Leaves the code of a process that has just died."""


@dataclass(eq=False)
class Process:
    name: str
    number: int  # unique
    dead: bool = False
    died: float = float("inf")
    stopped: bool = False
    held: list[asyncio.Handle] = field(default_factory=list)  # steps that wait until it goes on


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
OUTSIDE = Context()
"""What happens here belongs to no process: the network, the servers, the faults."""


class SimLoop(asyncio.BaseEventLoop):
    """Time stands still while anything can run, and then moves to the next timer. Nothing here waits, and there are no sockets."""

    _ready: Any
    _scheduled: Any

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self._dropped: list[asyncio.Handle] = []
        self._waiting: list[Process] = []  # that were stopped and had something to do
        self._ending = False
        self.set_exception_handler(lambda loop, told: None)

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        done = self.create_future()
        done.set_result(func(*args))
        return done

    def go_on(self, process: Process) -> None:
        process.stopped = False
        self._ready.extend(process.held)
        process.held.clear()

    def end(self) -> None:
        """Cancel what is left, that of the dead too, so that no coroutine is closed at a place where it may not await."""
        self._ending = True
        self._ready.extend(self._dropped)
        for process in self._waiting:
            self.go_on(process)
        for _ in range(50):
            left = asyncio.all_tasks(self)
            if not left:
                break
            for task in left:
                task.cancel()
            self.run_until_complete(_turns())
        self.close()

    def _write_to_self(self) -> None:
        """Wakes a loop that waits, which this one never does."""

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready:
            self.now = max(self.now, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self.now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)
            if process is None or self._ending:
                handle._run()
            elif process.dead:
                self._dropped.append(handle)
            elif process.stopped:
                process.held.append(handle)
                self._waiting.append(process)
            else:
                handle._run()


async def _turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
