"""The same requests through peers: the Groq SDK alone, with its own retries, and the OpenAI SDK behind token-throttle."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from groq import AsyncGroq, GroqError

from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prompts import Ask, opaque_id, template_of
from helix_ray.analysis.tokens import TokenEstimator
from helix_ray.config import Config
from helix_ray.emulator.process import EmulatorProcess
from helix_ray.records import Read
from helix_ray.sources import Source, make_source

PEERS = Path(os.environ.get("HELIX_PEERS", ".venv/peers")) / "bin" / "python"
MARGIN = 1.01  # the emulator counts up to 2 tokens more than the estimate, and a peer that is told too little is refused
COUNTED = {"R": "requests", "T": "tokens"}


class Request(NamedTuple):
    records: int
    tokens: int  # of the prompt, and the most that may be answered
    body: dict[str, Any]  # as the pipeline would send it


@dataclass
class SdkRun:
    """What came of it: records delivered, and the emulator's own ledger."""

    delivered: int
    ledger: dict[str, Any]


def run_sdk(config: Config, max_retries: int, in_flight: int, deadline_s: float) -> SdkRun:
    """Asks about every read of ``config`` once, at most ``in_flight`` requests at a time; what still fails then is lost."""
    return _run(config, lambda url, requests: asyncio.run(_ask_all(url, requests, max_retries, in_flight, deadline_s)))


def run_token_throttle(config: Config, in_flight: int, deadline_s: float) -> SdkRun:
    """The same, behind token-throttle, which is told every limit of the emulator beforehand."""

    def ask_all(url: str, requests: list[Request]) -> int:
        limits = _ledger(url)["buckets"].get(config.analyzer.model, {})
        quotas = [(COUNTED[name[0]], limit["limit"], limit["window_s"]) for name, limit in limits.items() if name[0] in COUNTED]
        work = {"url": url, "quotas": quotas, "requests": requests, "in_flight": in_flight, "deadline_s": deadline_s}
        command = [str(PEERS), str(Path(__file__).with_name("token_throttle_client.py"))]
        done = subprocess.run(command, input=json.dumps(work), text=True, stdout=subprocess.PIPE, timeout=deadline_s + 60, check=True)
        return int(done.stdout)

    return _run(config, ask_all)


def has_token_throttle() -> bool:
    """Whether it is installed where the peers are."""
    return PEERS.exists() and subprocess.run([PEERS, "-c", "import token_throttle"], check=False, stderr=subprocess.DEVNULL).returncode == 0


def _run(config: Config, ask_all: Callable[[str, list[Request]], int]) -> SdkRun:
    requests = requests_of(config)
    with EmulatorProcess.start(config.emulator, config.analyzer.model) as emulator:
        delivered = ask_all(emulator.url, requests)
        return SdkRun(delivered, _ledger(emulator.url))


def _ledger(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/_ctl/summary", timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def requests_of(config: Config) -> list[Request]:
    settings = config.analyzer
    template = template_of(settings)
    estimator = TokenEstimator(template)
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
    prompts = [estimator.estimate(sum(len(ask.ref_seq) + len(ask.seq) for ask in pack), len(pack)) for pack in asks]
    return [
        Request(len(pack), ceil(MARGIN * prompt) + settings.max_completion_tokens, builder.build(pack)[0])
        for pack, prompt in zip(asks, prompts, strict=True)
    ]


def _reads(source: Source) -> Iterator[Read]:
    for index in count():
        block = source.block(index)
        if block is None:
            return
        yield from block.rows()


async def _ask_all(url: str, requests: list[Request], max_retries: int, in_flight: int, deadline_s: float) -> int:
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
                await asyncio.gather(*(ask(request.records, request.body) for request in requests))
        except TimeoutError:
            pass  # what was delivered by then counts
    return delivered
