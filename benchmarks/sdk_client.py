"""The same requests through the Groq SDK alone, whose own retries are all that stands between it and the limits."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from groq import AsyncGroq, GroqError

from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prompts import Ask, opaque_id, template_of
from helix_ray.config import Config
from helix_ray.emulator.process import EmulatorProcess
from helix_ray.records import Read
from helix_ray.sources import Source, make_source


@dataclass
class SdkRun:
    """What came of it: records delivered, seconds, and the emulator's own ledger."""

    delivered: int
    seconds: float
    ledger: dict[str, Any]


def run_sdk(config: Config, max_retries: int, in_flight: int, deadline_s: float) -> SdkRun:
    """Asks about every read of ``config`` once, at most ``in_flight`` requests at a time; what still fails then is lost."""
    requests = requests_of(config)
    with EmulatorProcess.start(config.emulator, config.analyzer.model) as emulator:
        started = time.monotonic()
        delivered = asyncio.run(_ask_all(emulator.url, requests, max_retries, in_flight, deadline_s))
        seconds = time.monotonic() - started
        with urllib.request.urlopen(f"{emulator.url}/_ctl/summary", timeout=10) as answer:
            return SdkRun(delivered, seconds, json.loads(answer.read()))


def requests_of(config: Config) -> list[tuple[int, dict[str, Any]]]:
    """Each request's number of reads and its body, as the pipeline would send it."""
    settings = config.analyzer
    template = template_of(settings)
    builder = PayloadBuilder(
        template,
        model=settings.model,
        seed=config.run.seed,
        max_completion_tokens=settings.max_completion_tokens,
        reasoning_effort=settings.reasoning_effort,
        service_tier="on_demand",
    )
    reads = list(_reads(make_source(config)))
    size = settings.reads_per_request
    packs = [reads[start : start + size] for start in range(0, len(reads), size)]
    asks = [[Ask(opaque_id("sdk", read.read_index), read.ref_seq, read.seq) for read in pack] for pack in packs]
    return [(len(pack), builder.build(pack)[0]) for pack in asks]


def _reads(source: Source) -> Iterator[Read]:
    for index in count():
        block = source.block(index)
        if block is None:
            return
        yield from block.rows()


async def _ask_all(url: str, requests: list[tuple[int, dict[str, Any]]], max_retries: int, in_flight: int, deadline_s: float) -> int:
    slots = asyncio.Semaphore(in_flight)
    delivered = 0
    async with AsyncGroq(api_key="no-key-is-needed-here", base_url=url, max_retries=max_retries) as client:

        async def ask(reads: int, body: dict[str, Any]) -> None:
            nonlocal delivered
            async with slots:
                try:
                    await client.chat.completions.create(**body)
                except GroqError:
                    return
            delivered += reads

        try:
            async with asyncio.timeout(deadline_s):
                await asyncio.gather(*(ask(reads, body) for reads, body in requests))
        except TimeoutError:
            pass  # what was delivered by then counts
    return delivered
