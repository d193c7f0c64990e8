"""Calls between the processes of a simulated run: late, twice, in another order, without a reply, or not at all."""

import asyncio
import random
from typing import Any

from helix_ray.actors import peers
from helix_ray.actors.api import QUEUE
from helix_ray.errors import HelixError
from simulation.loop import PROCESS, Process, SimLoop
from simulation.plans import Plan

BUFFERED_S = 0.05
"""For which a message that has left outlives its sender."""


class Network:
    loop: SimLoop
    random: random.Random
    network: Plan  # as long as it is bad
    names: list[str]
    actors: dict[str, Any]
    processes: dict[str, Process]
    deepest: int
    _pending: dict[Process, dict[asyncio.Future[Any], None]]
    _context: Any
    later: Any
    note: Any
    point: Any
    defect: Any

    async def attempt(self, timeout_s: float | None, to: str, method: Any, *args: Any, **kwargs: Any) -> Any:
        """In the place of `peers.attempt`."""
        reply: asyncio.Future[Any] = self.loop.create_future()
        if to in self.names:
            self._send(PROCESS.get(), to, method.__name__, args, kwargs, reply)
        else:
            self.later(0.001, fail, reply)
        try:
            value = await asyncio.wait_for(reply, timeout_s)
        except TimeoutError as late:
            raise peers.PeerAwayError(f"{to} does not answer") from late
        await self.point(f"{_name_of(PROCESS.get())}: reply of {to}.{method.__name__} received")
        return value

    def _send(self, caller: Process | None, to: str, method: str, args: Any, kwargs: Any, reply: "asyncio.Future[Any]") -> None:
        """To the process that has this name now: a message finds no successor. One of a caller that has died arrives soon or never."""
        plan, chance, target = self.network, self.random.random(), self.processes.get(to)
        if chance < plan.dropped or target is None:
            self.later(self.random.uniform(0.001, 0.05), fail, reply)
            return
        lost = chance < plan.dropped + plan.unanswered
        self.later(self._delay_s(), self._arrive, caller, target, method, args, kwargs, reply, lost)
        if self.random.random() < plan.doubled:
            self.later(self._delay_s(), self._arrive, caller, target, method, args, kwargs, self.loop.create_future(), True)

    def _delay_s(self) -> float:
        return self.random.uniform(0.05, 3.0) if self.random.random() < self.network.slow else self.random.uniform(0.0003, 0.003)

    def _arrive(
        self, caller: Process | None, target: Process, method: str, args: Any, kwargs: Any, reply: "asyncio.Future[Any]", lost: bool
    ) -> None:
        if caller is not None and caller.died + BUFFERED_S < self.loop.now:
            return
        if target.dead:
            self.later(self.random.uniform(0.001, 0.05), fail, reply)
            return
        self._pending[target][reply] = None
        self.loop.create_task(self._serve(target, method, args, kwargs, reply, lost), context=self._context(target))

    async def _serve(self, target: Process, method: str, args: Any, kwargs: Any, reply: "asyncio.Future[Any]", lost: bool) -> None:
        to, actor = target.name, self.actors[target.name]
        error: BaseException | None = None
        value = None
        try:
            value = await getattr(actor, method)(*args, **kwargs)
        except HelixError as told:
            error = told
        except Exception as raised:  # noqa: BLE001
            error = raised
            self.defect(f"{to}.{method}: {raised!r}")
        if to == QUEUE:
            self.deepest = max(self.deepest, len(actor._queue._waiting))
        self.note(f"{to}.{method}")
        await self.point(f"{to}: before its reply to {method}")
        self._pending[target].pop(reply, None)
        if lost:
            self.later(self.random.uniform(0.001, 0.05), fail, reply)
        else:
            self.later(self._delay_s(), _answer, reply, value, error)


def _name_of(process: Process | None) -> str:
    return "outside" if process is None else process.name


def fail(reply: "asyncio.Future[Any]") -> None:
    if not reply.done():
        reply.set_exception(peers.PeerAwayError("the process died, or the call was lost"))
        reply.exception()


def _answer(reply: "asyncio.Future[Any]", value: object, error: BaseException | None) -> None:
    if reply.done():
        return
    if error is None:
        reply.set_result(value)
    else:
        reply.set_exception(error)
        reply.exception()
