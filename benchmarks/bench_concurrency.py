"""A service of hidden capacity, which never says no: how much of it the adaptive concurrency uses, and at what latency.

    .venv/bin/python benchmarks/bench_concurrency.py

The emulator serves 24 requests at full speed and slows all of them down beyond, without a 429. First with fixed numbers in flight:
the best throughput, and the 95th percentile of an unloaded service (6 in flight). Then with `throttle.adaptive_concurrency` and up to
128 in flight: after 30 s, and 30 s after the capacity was halved and restored by POST /_ctl/set. The throttle and the analyzers' client of
it (`PermitClient`) run in this process, without Ray, with bare sockets to the emulator. About five minutes.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import count, cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness import print_table
from helix_ray.actors.throttle import ThrottleActor
from helix_ray.analyzer.permit_client import PermitClient
from helix_ray.clock import SystemClock
from helix_ray.config.loading import load_config
from helix_ray.emulator.process import EmulatorProcess
from helix_ray.records import TokenUsage
from helix_ray.throttle.messages import AcquireReply, Permit, PermitRequest, Settlement
from sdk_client import requests_of

DEMO = Path(__file__).parents[1] / "configs" / "demo.yaml"
PATH = "/openai/v1/chat/completions"
CAPACITY, MOST = 24, 128
FIXED = (6, 16, 24, 32, 48)
SETTLING_S, WATCHED_S = 30.0, 30.0
SETTINGS = (
    "run.seed=7",
    "source.count=500",
    "emulator.tier=unlimited",
    "emulator.latency_scale=8",
    f"emulator.hidden_capacity={CAPACITY}",
    "throttle.max_cost_usd=1000",
)


class Throttle(ThrottleActor):
    """Without the heartbeat, which needs Ray."""

    async def _beat(self) -> None:
        await asyncio.Event().wait()


class Port:
    def __init__(self, throttle: ThrottleActor) -> None:
        self._throttle = throttle

    async def acquire(self, wants: list[PermitRequest]) -> AcquireReply:
        return await self._throttle.acquire("bench", wants)

    async def withdraw(self, want_ids: list[str]) -> None:
        await self._throttle.withdraw("bench", want_ids)

    async def settle(self, settlements: list[Settlement]) -> None:
        await self._throttle.settle("bench", settlements)

    async def stop(self, message: str) -> None:
        await self._throttle.stop(message)


class Load:
    """``in_flight`` callers who always have a request to send."""

    def __init__(self, url: str, bodies: list[bytes], in_flight: int, adaptive: bool) -> None:
        self._url = url
        self._bodies = cycle(bodies)
        self._in_flight = in_flight
        config = load_config(DEMO, (*SETTINGS, f"throttle.adaptive_concurrency={str(adaptive).lower()}"))
        self.throttle = Throttle(config.throttle, 60.0, in_flight)
        self._permits = PermitClient(Port(self.throttle), SystemClock())
        self._numbers = count()
        self.answers: list[tuple[float, float]] = []  # when, latency

    @asynccontextmanager
    async def running(self) -> Any:
        await self.throttle.restore(Decimal(0))
        background = asyncio.create_task(self._permits.run())
        asking = [asyncio.create_task(self._ask()) for _ in range(self._in_flight)]
        yield self
        for task in (*asking, background):
            task.cancel()
        await asyncio.gather(*asking, background, return_exceptions=True)

    async def watch(self, seconds: float) -> tuple[float, float]:
        """Answers a second and the 95th percentile of their latency, from now on."""
        began = time.monotonic()
        await asyncio.sleep(seconds)
        latencies = sorted(latency for at, latency in self.answers if at >= began)
        return len(latencies) / seconds, latencies[int(0.95 * len(latencies))]

    async def _ask(self) -> None:
        address = urlsplit(self._url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            while True:
                permit = await self._permits.acquire(PermitRequest(str(next(self._numbers)), 700, 512, Decimal("0.001")))
                assert isinstance(permit, Permit), permit
                body, sent_at = next(self._bodies), time.monotonic()
                head = (
                    f"POST {PATH} HTTP/1.1\r\nhost: {address.netloc}\r\nauthorization: Bearer none\r\ncontent-length: {len(body)}\r\n\r\n"
                )
                writer.write(head.encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 200"), answer
                length = next(line for line in answer.split(b"\r\n") if line.startswith(b"content-length: "))
                usage = json.loads(await reader.readexactly(int(length.removeprefix(b"content-length: "))))["usage"]
                now = time.monotonic()
                self.answers.append((now, now - sent_at))
                used = TokenUsage(usage["prompt_tokens"], 0, usage["completion_tokens"])
                self._permits.settle(Settlement(permit.permit_id, "answered", used, Decimal("0.0001"), latency_s=now - sent_at), sent_at)
        finally:
            writer.close()


def set_capacity(url: str, capacity: int) -> None:
    body = json.dumps({"hidden_capacity": capacity}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/_ctl/set", body, method="POST"), timeout=10) as answer:
        assert answer.status == 200


async def measure(url: str, bodies: list[bytes]) -> list[list[Any]]:
    fixed: dict[int, tuple[float, float]] = {}
    for in_flight in FIXED:
        async with Load(url, bodies, in_flight, adaptive=False).running() as load:
            await asyncio.sleep(5.0)
            fixed[in_flight] = await load.watch(15.0)
    best, unloaded = max(throughput for throughput, _ in fixed.values()), fixed[FIXED[0]][1]
    rows = [[f"fixed at {number}", CAPACITY, *_shown(found, best, unloaded), number] for number, found in fixed.items()]
    async with Load(url, bodies, MOST, adaptive=True).running() as load:
        for name, capacity in (("adaptive", CAPACITY), ("capacity halved", CAPACITY // 2), ("and restored", CAPACITY)):
            await asyncio.to_thread(set_capacity, url, capacity)
            await asyncio.sleep(SETTLING_S)
            found = await load.watch(WATCHED_S)
            stats = await load.throttle.stats()
            rows.append([name, capacity, *_shown(found, best * capacity / CAPACITY, unloaded), stats.concurrency])
    return rows


def _shown(found: tuple[float, float], best: float, unloaded_s: float) -> list[str]:
    throughput, p95_s = found
    return [f"{throughput:.1f}", f"{throughput / best:.3f}", f"{1000 * p95_s:.0f}", f"{p95_s / unloaded_s:.2f}"]


def main() -> None:
    config = load_config(DEMO, SETTINGS)
    bodies = [json.dumps(body).encode() for _, body in requests_of(config)]
    with EmulatorProcess.start(config.emulator, config.analyzer.model) as emulator:
        rows = asyncio.run(measure(emulator.url, bodies))
    print(f"\nThroughput is compared with the best fixed number's, latency with {FIXED[0]} in flight\n")
    print_table(["in flight", "capacity", "answers/s", "of the best", "p95, ms", "x unloaded", "limit at the end"], rows)


if __name__ == "__main__":
    main()
