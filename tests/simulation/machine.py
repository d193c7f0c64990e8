"""What the simulation puts in the place of the machine: clocks, ids, the network, the database and what a process watches."""

import asyncio
import logging
import random
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from helix_ray import sources
from helix_ray.actors import analyzer, peers, producer, queue, sink, throttle
from helix_ray.analyzer.request_cycle import RequestCycle
from helix_ray.clock import SystemClock
from helix_ray.records import Receipt
from helix_ray.storage.spool import Spool
from simulation.database import Connection
from simulation.loop import Process
from simulation.provider import CALL
from support import memory_ledger
from support.list_source import ListSource

if TYPE_CHECKING:
    from simulation.world import World


class _NoHeartbeat:
    """Metrics and control take no part."""

    async def beat(self, *_: Any) -> None:
        await asyncio.Event().wait()

    async def once(self, *_: Any) -> None:
        return


class _SimSpool(Spool):
    world: "World"

    def keep(self, receipt: Receipt) -> None:
        self.world.point_now("analyzer: before the spool is written")
        super().keep(receipt)
        self.world.point_now("analyzer: after the spool is written")


@contextmanager
def patched(replaced: Iterable[tuple[Any, str, Any]]) -> Iterator[None]:
    with ExitStack() as stack:
        for target, name, value in replaced:
            stack.enter_context(patch.object(target, name, value))
        yield


@contextmanager
def in_place_of_the_machine(world: "World") -> Iterator[None]:
    ids = random.Random(world.random.random())
    send = RequestCycle._send

    async def tapped(self: RequestCycle, sent: Any) -> Any:
        CALL.set(sent.call_id)
        return await send(self, sent)

    spool = type("Spool", (_SimSpool,), {"world": world})
    replaced: list[tuple[Any, str, Any]] = [
        (peers, "attempt", world.attempt),
        (SystemClock, "monotonic", lambda self: world.loop.now),
        (SystemClock, "now", lambda self: world.wall()),
        (uuid, "uuid4", lambda: uuid.UUID(int=ids.getrandbits(128))),
        (memory_ledger, "datetime", SimpleNamespace(now=world.wall)),
        (sink, "PostgresLedger", lambda url, timeout_s: Connection(world.database, timeout_s)),
        (sink, "DriverWatch", Watch),
        (analyzer.AnalyzerActor, "_make_backend", lambda self, key: world.provider),
        (analyzer, "Spool", spool),
        (RequestCycle, "_send", tapped),
        (sources, "make_source", lambda config: ListSource(world.manifest, config.source.batch_size)),
        *((module, "Heartbeat", _NoHeartbeat) for module in (queue, throttle, sink, analyzer, producer)),
    ]
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with patched(replaced):
            yield
    finally:
        logging.disable(before)


class Watch:
    def __init__(self, driver: Process) -> None:
        self._driver = driver

    @property
    def alive(self) -> bool:
        return not self._driver.dead

    def close(self) -> None:
        """Nothing to close."""
