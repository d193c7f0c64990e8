"""The same reads enter the queue for any number of producers, any batch size, and after a resume."""

import asyncio
from functools import cache

import pytest

from helix_ray.config import Config
from helix_ray.producer.engine import ProducerEngine, Share
from helix_ray.producer.splitting import split
from helix_ray.queueing.messages import DoneReply, PutReply
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import Read, ReadBatch
from helix_ray.sources import make_source
from support.manual_clock import ManualClock

COUNT = 160
PRESETS = ["bench", "wgsim", "human"]


class EndlessQueue:
    """Takes what it is offered; ``done`` has rows already, as after a resume."""

    def __init__(self, done: list[tuple[int, int]]) -> None:
        self.reads: list[Read] = []
        self.totals: list[int | None] = []
        self._done = IndexRanges(done)

    async def put(self, batch: ReadBatch) -> PutReply:
        await asyncio.sleep(0)
        self.reads += batch.rows()
        return PutReply("admitted", "incarnation", batch.size)

    async def done_ranges(self) -> DoneReply:
        return DoneReply("incarnation", self._done, True)

    async def finish_input(self, total_reads: int | None, incarnation: str) -> str:
        self.totals.append(total_reads)
        return incarnation


async def produced(preset: str, producers: int, batch_size: int, done: list[tuple[int, int]] | None = None) -> list[Read]:
    """All reads that ``producers`` producers, working at the same time, put into one queue, in order of their index."""
    source = {"count": COUNT, "batch_size": batch_size, "producers": producers, "mutation": {"preset": preset}}
    config = Config.model_validate({"source": source})
    queue = EndlessQueue(done or [])
    shares = [Share(index, producers, batch_size) for index in range(producers)]
    engines = [ProducerEngine(share, make_source(config), queue, split, None, ManualClock()) for share in shares]
    await asyncio.gather(*(engine.run() for engine in engines))
    assert sum(total or 0 for total in queue.totals) == COUNT
    return sorted(queue.reads, key=lambda read: read.read_index)


@cache
def expected(preset: str) -> list[Read]:
    config = Config.model_validate({"source": {"count": COUNT, "batch_size": COUNT, "mutation": {"preset": preset}}})
    block = make_source(config).block(0)
    assert block is not None
    return block.rows()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("producers", "batch_size"), [(1, 50), (1, 7), (2, 50), (2, 1), (8, 50), (8, 13)])
async def test_reads_are_the_same(preset: str, producers: int, batch_size: int) -> None:
    assert await produced(preset, producers, batch_size) == expected(preset)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("producers", "batch_size"), [(1, 50), (2, 9), (8, 20)])
async def test_after_a_resume_the_rest_is_the_same(preset: str, producers: int, batch_size: int) -> None:
    done = [(0, 31), (40, 41), (77, 120)]
    missing = [read for read in expected(preset) if not any(start <= read.read_index < end for start, end in done)]
    assert await produced(preset, producers, batch_size, done) == missing
