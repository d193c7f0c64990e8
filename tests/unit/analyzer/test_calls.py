"""What a request costs in calls between actors: counted over an engine, a governor and a sink that takes its time to commit."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fix_analyzer import RIGHT, FakeQueue, FakeSink, read
from helix_ray.analyzer.engine import AnalysisEngine
from helix_ray.config import Config
from helix_ray.queueing.messages import LeaseReply
from helix_ray.records import ApiCall, Intent, ReadResult, Receipt, Refused
from helix_ray.throttle.governor import Governor
from helix_ray.throttle.messages import AcquireReply, Exchange
from support.manual_clock import ManualClock
from support.scripted_llm import ScriptedLLM, completion

REQUESTS = 1500
CALL_S, COMMIT_S, ANSWER_S = 0.002, 0.01, 0.1
CALLS_A_REQUEST = {"exchange": 0.034, "intend": 0.034, "write": 0.033, "lease": 0.04}
"""As counted, and a little: a tenth more of any kind is too much."""


class Peers(FakeSink):
    """Throttle, sink and queue with the times that calls take; the limits have ample room."""

    def __init__(self, clock: ManualClock, config: Config) -> None:
        super().__init__()
        self.clock = clock
        self.counted: Counter[str] = Counter()
        self.queue = FakeQueue([read(index) for index in range(REQUESTS)], True, clock)
        self.governor = Governor(config.throttle, 60.0, "e")
        self.governor.restore(Decimal(0))
        self.governor.limiters["on_demand"].has_answered = True  # no probe first
        self.governor.limiters["on_demand"].served = 1000  # long enough to lease ahead

    async def exchange(self, told: Exchange) -> AcquireReply:
        self.counted["exchange"] += 1
        await self.clock.sleep(CALL_S)
        now, want_ids = self.clock.monotonic(), [*told.waiting, *(request.want_id for request in told.requests)]
        unknown = self.governor.tell("a", told, now)
        self.governor.advance(now)
        self.governor.give_ahead("a", told.requests, now)
        reply = self.governor.collect(want_ids, now)
        self.governor.leave(want_ids, now)
        return reply._replace(unknown=unknown)

    async def stop(self, message: str) -> None:
        raise AssertionError(message)

    async def intend(self, intents: Sequence[Intent], receipts: Sequence[Receipt]) -> list[Refused]:
        self.counted["intend"] += 1
        await self.clock.sleep(CALL_S + COMMIT_S)
        return await super().intend(intents, receipts)

    async def write(self, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> None:
        self.counted["write"] += 1
        await self.clock.sleep(0.25)  # on average, of the half second between two commits
        await super().write(results, calls)

    async def lease(self, max_reads: int, received: str | None) -> LeaseReply:
        self.counted["lease"] += 1
        await self.clock.sleep(CALL_S)
        return await self.queue.lease(max_reads, received)

    async def extend(self, lease_ids: list[str]) -> list[str]:
        return await self.queue.extend(lease_ids)

    async def nack(self, lease_id: str, fence: int, read_indices: list[int]) -> None:
        raise AssertionError(read_indices)


class SlowLLM(ScriptedLLM):
    clock: ManualClock

    async def complete(self, payload: dict[str, Any], timeout_s: float) -> Any:
        await self.clock.sleep(ANSWER_S)
        return await super().complete(payload, timeout_s)


async def test_a_request_under_load_costs_few_calls() -> None:
    config = Config.model_validate({"analyzer": {"backend": "emulator"}, "throttle": {"max_cost_usd": 1000.0}})
    clock = ManualClock()
    peers, llm = Peers(clock, config), SlowLLM(otherwise=lambda payload: completion(payload, RIGHT))
    llm.clock = clock
    engine = AnalysisEngine(config, peers, peers, peers, llm, clock=clock, nonce="run", rng=random.Random(1))
    run = asyncio.create_task(engine.run())
    while not run.done():
        await clock.advance(0.05)
    assert len(peers.results) == len(llm.payloads) == REQUESTS
    spent = {name: round(count / REQUESTS, 4) for name, count in peers.counted.items()}
    assert all(spent[name] <= most for name, most in CALLS_A_REQUEST.items()), spent
    stats = peers.governor.stats(clock.monotonic())
    assert (stats.answered, stats.in_flight, stats.reserved_usd) == (REQUESTS, 0, 0)
