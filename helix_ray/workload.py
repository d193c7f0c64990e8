"""What a configuration's source will bring, without running it: how many records, how many of them are analysed, how long they are.

Synthetic reads are made by index, so a sample of them is spread over the whole run. A file is read to its end, or to the run's
count: the first records and some of every further stretch are placed and looked at, the others are only counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from helix_ray.backends.aligner import align_calls
from helix_ray.config import Config, SourceKind
from helix_ray.records import ReadBatch
from helix_ray.sources import Source, make_source

SAMPLE = 1000
"""Records that are looked at from the start of a source, and at most as many again beyond."""
STRIDE = 5000
"""Records of a file, for each of which one more block is looked at; doubled when the sample has grown by `SAMPLE`."""
MAX_COUNTED = 20_000_000
"""Records of a file after which counting ends: about a minute."""


class SampledRead(NamedTuple):
    ref_seq: str
    seq: str
    calls: list[tuple[int, str, str]]  # pos, ref, alt, by the aligner


class SampledBlock(NamedTuple):
    """Records that were looked at, and how many they stand for."""

    stands_for: int
    records: int
    reads: list[SampledRead]  # those that are analysed


@dataclass(frozen=True, slots=True)
class Workload:
    """``records`` None: the source is endless. ``counted`` False: the file holds more than ``records``."""

    records: int | None
    counted: bool
    blocks: list[SampledBlock]

    @property
    def sampled(self) -> int:
        return sum(block.records for block in self.blocks)

    @property
    def analysed_share(self) -> float:
        """Of the records, how many are sent to a model: the others are unplaced, filtered or malformed."""
        stands_for = sum(block.stands_for for block in self.blocks)
        kept = sum(block.stands_for * len(block.reads) / block.records for block in self.blocks if block.records)
        return kept / stands_for if stands_for else 0.0


def survey(config: Config, progress: Callable[[int], None] = lambda _: None) -> Workload:
    """Looks at the source; ``progress`` hears how many records were counted. InputError: as for a run."""
    source = make_source(config)
    if config.source.kind is SourceKind.SYNTHETIC:
        return _synthetic(source, config.source.batch_size)
    return _file(source, config.source.batch_size, config.source.count, progress)


def _synthetic(source: Source, batch_size: int) -> Workload:
    """Blocks evenly spread, or the first ones of an endless source."""
    wanted = max(1, 2 * SAMPLE // batch_size)
    if source.total is None:
        indices = list(range(wanted))
    else:
        blocks = -(-source.total // batch_size)
        indices = sorted({number * blocks // wanted for number in range(wanted)}) if blocks > wanted else list(range(blocks))
    sampled = []
    for index in indices:
        batch = source.block(index)
        assert batch is not None, "the source makes any block below its end"
        sampled.append(_look(batch, batch.size))
    return Workload(source.total, True, sampled)


def _file(source: Source, batch_size: int, count: int | None, progress: Callable[[int], None]) -> Workload:
    last = None if count is None else (count - 1) // batch_size
    sampled: list[SampledBlock] = []
    stride, looked, index, seen = 1, 0, 0, 0
    while True:
        batch = source.block(index)
        if batch is None:
            break
        seen = index * batch_size + batch.size
        sampled.append(_look(batch, batch.size))
        looked += batch.size
        progress(seen)
        if index == last or seen >= MAX_COUNTED:
            break
        if looked >= SAMPLE:
            grown = looked // SAMPLE - 1  # the longer the file, the wider the steps: the sample stays small
            stride = max(1, STRIDE // batch_size) * 2**grown
        index = index + stride if last is None else min(index + stride, last)
    source.block(seen // batch_size + 1)  # where the file ends here, the source learns it
    total = source.total
    records = seen if total is None else total
    return Workload(records, total is not None, _weighted(sampled, records))


def _weighted(blocks: list[SampledBlock], records: int) -> list[SampledBlock]:
    return blocks if records else []


def _look(batch: ReadBatch, stands_for: int) -> SampledBlock:
    reads = [
        SampledRead(ref_seq, seq, align_calls(ref_seq, seq))
        for ref_seq, seq, disposition in zip(batch.ref_seq, batch.seq, batch.disposition, strict=True)
        if disposition is None
    ]
    return SampledBlock(stands_for, batch.size, reads)
