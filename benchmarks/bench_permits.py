"""The throttle at speed: 10,000 requests a minute through one actor, and what each of them costs it.

    .venv/bin/python benchmarks/bench_permits.py [SECONDS]

A real ThrottleActor in Ray and 4 holders, each a process with the analyzers' own client (`PermitClient`) and bare sockets to the
emulator, which allows 10,000 requests a minute and tells nobody. The bucket is full at first, so the first 10,000 go as fast as they
can; SECONDS (default 75) begin after that. Judged by the emulator's ledger: utilisation = requests / (limit x (1 + minutes)).
CPU is user and system time of the actor's process over the whole run, for one permit: asked for, granted, settled.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
import urllib.request
from decimal import Decimal
from itertools import count, cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from harness import argument, print_table
from helix_ray.actors import api
from helix_ray.actors.cluster import local_cluster
from helix_ray.clock import SystemClock
from helix_ray.config import RayConfig
from helix_ray.config.loading import load_config
from helix_ray.emulator.process import EmulatorProcess
from helix_ray.providers.groq.replies import read_reply
from helix_ray.records import TokenUsage
from helix_ray.throttle.messages import PermitRequest, Refusal, Settlement
from sdk_client import requests_of

DEMO = Path(__file__).parents[1] / "configs" / "demo.yaml"
PATH = "/openai/v1/chat/completions"
LIMIT = 10_000
HOLDERS, EACH = 4, 128
BODIES = 500
SETTINGS = (
    "run.seed=7",
    f"source.count={BODIES}",
    "emulator.tier=developer",
    f"emulator.requests_per_minute={LIMIT}",
    "emulator.tokens_per_minute=100000000",
    "throttle.max_cost_usd=1000",
)


class Holder:
    """As an analyzer: up to ``EACH`` requests at once, one call to the throttle that asks, and few that only tell."""

    def __init__(self, index: int, url: str, bodies: list[bytes]) -> None:
        self._index = index
        self._url = url
        self._bodies = cycle(bodies)
        self._numbers = count()
        self._answered = 0
        self._ending = asyncio.Event()

    async def run(self) -> int:
        """Asks until `end`; the answers that came."""
        from helix_ray.actors.peers import AnalyzerPeers  # noqa: PLC0415  (Ray is not needed before)
        from helix_ray.analyzer.permit_client import PermitClient  # noqa: PLC0415

        permits = PermitClient(AnalyzerPeers(f"holder-{self._index}", "bench"), SystemClock())
        background = asyncio.create_task(permits.run())
        asking = [asyncio.create_task(self._ask(permits)) for _ in range(EACH)]
        await self._ending.wait()
        permits.withdraw_all()
        await asyncio.gather(*asking)
        await permits.flush()
        background.cancel()
        return self._answered

    async def end(self) -> None:
        self._ending.set()

    async def cpu_s(self) -> float:
        return sum(psutil.Process().cpu_times()[:2])

    async def _ask(self, permits: Any) -> None:
        address = urlsplit(self._url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while not self._ending.is_set():
            want = PermitRequest(f"{self._index}-{next(self._numbers)}", 700, 512, Decimal("0.001"))
            permit = await permits.acquire(want)
            if permit is None:
                break
            assert not isinstance(permit, Refusal), permit
            body, sent_at = next(self._bodies), time.monotonic()
            head = f"POST {PATH} HTTP/1.1\r\nhost: {address.netloc}\r\nauthorization: Bearer none\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines if line)
            answer = await reader.readexactly(int(headers["content-length"]))
            permits.settle(self._settlement(permit.permit_id, status_line, headers, answer, time.monotonic() - sent_at), sent_at)
        writer.close()

    def _settlement(self, permit_id: str, status_line: str, headers: dict[str, str], answer: bytes, latency_s: float) -> Settlement:
        status = int(status_line.split()[1])
        reading = read_reply(status, headers, answer)
        if status != 200:
            return Settlement(permit_id, "rejected", reading=reading.limits, limited=reading.limited)
        self._answered += 1
        usage = json.loads(answer)["usage"]
        used = TokenUsage(usage["prompt_tokens"], 0, usage["completion_tokens"])
        return Settlement(permit_id, "answered", used, Decimal("0.0001"), reading.limits, latency_s=latency_s)


def measure(seconds: int) -> list[Any]:
    """One row."""
    import ray  # noqa: PLC0415  (after the cluster's environment is set)

    from helix_ray.actors.throttle import ThrottleActor  # noqa: PLC0415

    config = load_config(DEMO, SETTINGS)
    bodies = [json.dumps(request.body).encode() for request in requests_of(config)]
    with EmulatorProcess.start(config.emulator, config.analyzer.model) as emulator:
        options = {"namespace": api.NAMESPACE, "num_cpus": 0, "max_concurrency": 1000, "enable_task_events": False}
        arguments = (config.throttle, config.analyzer.request_timeout_s, HOLDERS * EACH)
        throttle = ray.remote(ThrottleActor).options(name=api.THROTTLE, **options).remote(*arguments)
        ray.get(throttle.restore.remote(Decimal(0)))
        holders = [ray.remote(Holder).options(**options).remote(index, emulator.url, bodies) for index in range(HOLDERS)]
        ray.get([holder.cpu_s.remote() for holder in holders])
        [process] = [each for each in psutil.Process().children(recursive=True) if each.name().startswith("ray::Throttle")]
        watched = {"throttle": process, "emulator": psutil.Process(emulator.pid)}
        before = {name: sum(each.cpu_times()[:2]) for name, each in watched.items()}
        burst_s, took_s = run_all(emulator.url, holders, seconds)
        spent = {name: sum(each.cpu_times()[:2]) - before[name] for name, each in watched.items()}
        clients_s = sum(ray.get([holder.cpu_s.remote() for holder in holders]))
        ledger = summary(emulator.url)
        stats = ray.get(throttle.stats.remote())
    (buckets,) = (group for model, group in ledger["buckets"].items() if " " not in model)
    answered, refused = (int(ledger["requests"]["by_status"].get(status, 0)) for status in ("200", "429"))
    return [
        f"{answered:,}",
        f"{burst_s:.1f}",
        f"{took_s:.1f}",
        f"{buckets['RPM']['utilisation']:.4f}",
        f"{refused}",
        f"{1e6 * spent['throttle'] / answered:.0f}",
        f"{spent['throttle'] / took_s:.2f}",
        f"{1e6 * clients_s / answered:.0f}",
        f"{1e6 * spent['emulator'] / answered:.0f}",
        f"{stats.concurrency}",
    ]


def run_all(url: str, holders: list[Any], seconds: int) -> tuple[float, float]:
    """The seconds that the first ``LIMIT`` answers took, and those that everything took."""
    import ray  # noqa: PLC0415

    began = time.monotonic()
    running = [holder.run.remote() for holder in holders]
    while int(summary(url)["requests"]["by_status"].get("200", 0)) < LIMIT:
        ray.wait(running, timeout=0.2)
    burst_s = time.monotonic() - began
    ended, _ = ray.wait(running, timeout=seconds)
    ray.get(ended)  # raises what ended it
    ray.get([holder.end.remote() for holder in holders])
    ray.get(running)
    return burst_s, time.monotonic() - began


def summary(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/_ctl/summary", timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def main() -> None:
    seconds = argument(__doc__ or "", "SECONDS", 75, least=10)
    with tempfile.TemporaryDirectory(prefix="helix-bench-", ignore_cleanup_errors=True) as folder:
        here = os.pathsep.join((str(Path(__file__).parents[1]), str(Path(__file__).parent)))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
        with local_cluster(Path(folder), RayConfig(dashboard=False)):
            row = measure(seconds)
    print(f"\n{LIMIT:,} requests a minute, {HOLDERS} holders of {EACH} requests each\n")
    print_table(
        [
            "answers",
            "burst, s",
            "all, s",
            "utilisation",
            "429s",
            "us CPU a permit, throttle",
            "throttle's share of a core",
            "us a request, clients",
            "us a request, emulator",
            "concurrency at the end",
        ],
        [row],
    )


if __name__ == "__main__":
    main()
