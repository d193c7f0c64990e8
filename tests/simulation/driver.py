"""The driver of a simulated run: starts the actors, informs new incarnations as `Recovery` says, and ends the session.

It does what `session.watch` and `session.throttle_recovery` do. Those ask through Ray and block; this one awaits.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from helix_ray.actors import peers
from helix_ray.actors.api import QUEUE, SINK, THROTTLE, ActorApi, Address, AnalyzerApi, QueueApi, SinkApi, ThrottleApi
from helix_ray.actors.peers import PeerAwayError
from helix_ray.errors import HelixError
from helix_ray.queueing.messages import QueueStats
from helix_ray.session.throttle_recovery import MARGIN_S
from helix_ray.supervision.liveness import Liveness
from helix_ray.supervision.recovery import Need, Part, Recovery
from helix_ray.throttle.governor import PERMIT_GRACE_S
from helix_ray.throttle.messages import ThrottleStats
from simulation.database import Connection

if TYPE_CHECKING:
    from simulation.world import World

LOOK_S = 0.5
PARTS: dict[str, Part] = {SINK: Part.SINK, THROTTLE: Part.THROTTLE, QUEUE: Part.QUEUE}


class Driver:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._config = world.config
        self._database = Connection(world.database)
        self._recovery = Recovery(world.config.analyzer.request_timeout_s + PERMIT_GRACE_S + MARGIN_S)
        self._liveness = Liveness()
        self._opened: str | None = None  # the incarnation of the newest queue
        self._closed = False  # the requests that earlier sessions left open are closed
        self._pings: dict[str, asyncio.Task[Any]] = {}
        self._limits: dict[str, float] = {}

    async def run(self) -> str:
        """One session; why it ended."""
        world = self._world
        await self._insist(lambda: self._database.resume_run(world.run_id, world.row))
        for name in world.names:
            world.spawn(name)
            self._liveness.watch(name, world.loop.now)
            incarnation = world.actors[name]._incarnation if name != QUEUE else world.actors[name]._queue.incarnation
            self._note(name, incarnation)
        world.start_loop(SINK)
        await self._recover(reoffer=False)
        for name in world.names:
            if name.startswith(("producer", "analyzer")):
                world.start_loop(name)
        while True:
            await asyncio.sleep(LOOK_S)
            queue, throttle = await self._look()
            informed = queue is not None and queue.incarnation == self._recovery.incarnation(Part.QUEUE)
            through = informed and _is_through(queue, self._config.source.producers)
            limited = (throttle is not None and throttle.budget_exhausted) or world.have_ended("analyzer")
            if through or limited:
                await self._end()
                return "limited" if limited and not through else "complete"

    async def _look(self) -> tuple[QueueStats | None, ThrottleStats | None]:
        world = self._world
        queue, throttle, _ = await asyncio.gather(
            _answer(QUEUE, QueueApi.stats), _answer(THROTTLE, ThrottleApi.stats), _answer(SINK, SinkApi.stats)
        )
        if throttle is not None:
            self._limits |= {name: bucket.limit for name, bucket in throttle.buckets.items() if bucket.source == "discovered"}
        if queue is not None:
            self._note(QUEUE, queue.incarnation)
        now = world.loop.now
        for name in self._liveness.due(now):
            self._pings[name] = asyncio.create_task(peers.attempt(None, Address(name), ActorApi.ping))
        for name, ping in list(self._pings.items()):
            if ping.done():
                del self._pings[name]
                if (error := ping.exception()) is None:
                    self._liveness.answered(name, ping.result(), now)
                    self._note(name, ping.result())
                else:
                    self._liveness.failed(name, now)
                    if not isinstance(error, PeerAwayError):
                        world.defect(f"{name}: {error!r}")
        for name in self._liveness.hung(now):
            self._pings.pop(name, None)
            world.kill(name)
        with suppress(HelixError):
            await self._recover()
        return queue, throttle

    def _note(self, name: str, incarnation: str) -> None:
        if name in PARTS:
            self._recovery.on(PARTS[name], incarnation)

    async def _recover(self, *, reoffer: bool = True) -> None:
        world = self._world
        for need in self._recovery.due(world.loop.now):
            match need:
                case Need.RESTORE_THROTTLE:
                    await self._restore_throttle()
                case Need.CORRECT_THROTTLE:
                    incarnation = self._recovery.incarnation(Part.THROTTLE) or ""
                    spent = await self._database.spent_usd(world.run_id, incarnation)
                    answer = await _answer(THROTTLE, ThrottleApi.restore, spent, [], False, incarnation, self._limits)
                    self._recovery.corrected(spent, answer, world.loop.now)
                case Need.OPEN_QUEUE | Need.INFORM_QUEUE:
                    done = await self._database.done_ranges(world.run_id)
                    answer = await _answer(QUEUE, QueueApi.open, done, self._config.source.producers)
                    if answer is None:
                        continue
                    self._recovery.informed(Part.QUEUE, answer, world.loop.now)
                    new, self._opened = answer != self._opened, answer
                    if reoffer and new:
                        for name in world.names:
                            if name.startswith("producer"):
                                world.start_loop(name)

    async def _restore_throttle(self) -> None:
        world, database = self._world, self._database
        await _answer(THROTTLE, ThrottleApi.set_budget, Decimal(str(world.max_cost_usd)))
        provisional = self._closed
        if provisional:
            spent = max(await database.reserved_usd(world.run_id), await database.spent_usd(world.run_id))
        else:
            spent = await database.close_open_calls(world.run_id)
        past = await database.taken(self._config.analyzer.model, self._config.provider_name, True)
        self._closed = True
        answer = await _answer(THROTTLE, ThrottleApi.restore, spent, past, provisional, "", self._limits)
        if answer is not None:
            self._recovery.informed(Part.THROTTLE, answer, world.loop.now, provisional=provisional)

    async def _end(self) -> None:
        """In the order of every ending. What does not answer is left behind, and resumed."""
        world = self._world
        await _answer(QUEUE, QueueApi.close_input)
        await _answer(QUEUE, QueueApi.close_leases)
        analyzers = [Address[AnalyzerApi](name) for name in world.names if name.startswith("analyzer")]
        await asyncio.gather(*(_answer(name, AnalyzerApi.drain, 5.0, timeout_s=20.0) for name in analyzers))
        await _answer(SINK, SinkApi.flush, timeout_s=20.0)
        for name in world.names:
            world.bury(name)
        await self._insist(lambda: self._database.close_open_calls(world.run_id))

    @staticmethod
    async def _insist(ask: Callable[[], Awaitable[Any]]) -> None:
        while True:
            with suppress(HelixError):
                await ask()
                return
            await asyncio.sleep(1.0)


def _is_through(queue: QueueStats | None, producers: int) -> bool:
    assert queue is not None
    return queue.producers_finished == producers and queue.waiting + queue.redelivered + queue.leased == 0


async def _answer(to: Any, method: Any, *args: Any, timeout_s: float = 2.0) -> Any:
    """None: there was none."""
    try:
        return await peers.attempt(timeout_s, to, method, *args)
    except (PeerAwayError, HelixError):
        return None
