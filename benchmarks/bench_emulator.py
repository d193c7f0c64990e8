"""Is the emulator ever the bottleneck? Requests per second on one core, for requests of one read as the pipeline sends them.

    .venv/bin/python benchmarks/bench_emulator.py [REQUESTS]

Three rows: the raw ASGI application in this process; the same with every feature that costs time on (prompt cache, a fault rate
on each answer); and over HTTP on loopback, where the emulator is a process of its own and the clients, bare sockets with one
request outstanding each, share the machine with it. CPU is the emulator's own; requests per core-second is its inverse.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from harness import print_table
from helix_ray.config import Config
from helix_ray.config.emulator import EmulatorConfig, EmulatorFaults
from helix_ray.config.loading import load_config
from helix_ray.emulator.chat import Chat
from helix_ray.emulator.http import EmulatorApp
from helix_ray.emulator.process import EmulatorProcess
from sdk_client import requests_of

DEMO = Path(__file__).parents[1] / "configs" / "demo.yaml"
PATH = "/openai/v1/chat/completions"
CONNECTIONS = 32
ROUNDS = 3


def config_of(requests: int) -> Config:
    return load_config(DEMO, (f"source.count={requests}", "run.seed=7"))


def plain(config: Config) -> EmulatorConfig:
    return config.emulator.model_copy(update={"tier": "unlimited", "latency_scale": 0.0})


def everything(config: Config) -> EmulatorConfig:
    return plain(config).model_copy(update={"cache_hit_rate": 0.5, "faults": EmulatorFaults(prose=0.1, fenced=0.1, pos_text=0.1)})


async def in_process(settings: EmulatorConfig, model: str, bodies: list[bytes]) -> float:
    """CPU seconds for all."""
    app = EmulatorApp(Chat(settings, model, time.monotonic, time.time))
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    def receiver(body: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        return receive

    headers = [(b"authorization", b"Bearer none"), (b"content-type", b"application/json")]
    began = time.process_time()
    for body in bodies:
        scope = {"type": "http", "method": "POST", "path": PATH, "headers": headers, "query_string": b""}
        await app(scope, receiver(body), send)
    spent = time.process_time() - began
    assert statuses.count(200) == len(bodies), set(statuses)
    return spent


async def over_http(settings: EmulatorConfig, model: str, bodies: list[bytes]) -> tuple[float, float]:
    """CPU seconds of the emulator's process, and seconds."""
    with EmulatorProcess.start(settings, model) as emulator:
        process = psutil.Process(emulator.pid)
        pending = iter(bodies)
        before, began = sum(process.cpu_times()[:2]), time.monotonic()
        await asyncio.gather(*(_ask(emulator.url, pending) for _ in range(CONNECTIONS)))
        return sum(process.cpu_times()[:2]) - before, time.monotonic() - began


async def _ask(url: str, pending: Any) -> None:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for body in pending:
        head = f"POST {PATH} HTTP/1.1\r\nhost: {address.netloc}\r\nauthorization: Bearer none\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = next(line for line in answer.split(b"\r\n") if line.startswith(b"content-length: "))
        await reader.readexactly(int(length.removeprefix(b"content-length: ")))
    writer.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    config = config_of(count)
    model = config.analyzer.model
    bodies = [json.dumps(request.body).encode() for request in requests_of(config)]
    rows: list[list[Any]] = []
    for name, settings in (("ASGI application", plain(config)), ("with cache and faults", everything(config))):
        cpu_s = min(asyncio.run(in_process(settings, model, bodies)) for _ in range(ROUNDS))
        rows.append([name, f"{len(bodies) / cpu_s:,.0f}", f"{1e6 * cpu_s / len(bodies):.0f}", "-"])
    cpu_s, wall_s = min(asyncio.run(over_http(plain(config), model, bodies)) for _ in range(ROUNDS))
    rows.append(
        [
            f"HTTP, {CONNECTIONS} connections",
            f"{len(bodies) / cpu_s:,.0f}",
            f"{1e6 * cpu_s / len(bodies):.0f}",
            f"{len(bodies) / wall_s:,.0f}",
        ]
    )
    print(f"\n{len(bodies):,} requests of one read, {sum(map(len, bodies)) / len(bodies):,.0f} bytes each; best of {ROUNDS}\n")
    print_table(["emulator", "requests per core-second", "us CPU a request", "requests/s seen by clients"], rows)


if __name__ == "__main__":
    main()
