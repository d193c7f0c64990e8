"""What a configuration's source will bring, without running it: how many records, how many of them are analysed, how long they are.

Synthetic reads are made by index, so a sample of them is spread over the whole run. A file is read to its end, or to the run's
count: the first records and one block of every further stretch are placed and looked at, the others are only counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from helix_ray.backends.aligner import align_calls
from helix_ray.config import Config, SourceKind
from helix_ray.records import ReadBatch
from helix_ray.sources import Source, make_source

SAMPLE = 2000
"""Records that are looked at: spread over a synthetic source, from the start of a file."""

STRIDE = 50_000
"""Of a file beyond its start one block is looked at in each stretch: a twentieth of what came before it, at most this many records."""

MAX_COUNTED = 20_000_000
"""Records of a file after which counting ends."""


class SampledRead(NamedTuple):
    """A read that would be sent, and how many of the run it stands for."""

    ref_seq: str
    seq: str
    calls: list[tuple[int, str, str]]  # pos, ref, alt, by the aligner
    stands_for: float


@dataclass(frozen=True, slots=True)
class Workload:
    """``records`` None: the source is endless. ``whole`` False: the file holds more than ``records``, the rest was not counted."""

    records: int | None
    whole: bool
    looked_at: int  # records
    analysed_share: float  # 0..1, of the records: the others are unplaced, filtered or malformed
    reads: list[SampledRead]


class _Block(NamedTuple):
    records: int
    stands_for: int
    reads: list[SampledRead]


def survey(config: Config, progress: Callable[[int], None] = lambda _: None) -> Workload:
    """Looks at the source; ``progress`` hears how many records were counted. Raises InputError as the run would."""
    source, batch_size = make_source(config), config.source.batch_size
    if config.source.kind is SourceKind.SYNTHETIC:
        return _workload(source.total, True, _spread(source, batch_size))
    blocks = _forward(source, batch_size, progress)
    return _workload(sum(block.stands_for for block in blocks), source.total is not None, blocks)


def _workload(records: int | None, whole: bool, blocks: Sequence[_Block]) -> Workload:
    reads = [read for block in blocks for read in block.reads]
    stood_for = sum(block.stands_for for block in blocks)
    share = sum(read.stands_for for read in reads) / stood_for if stood_for else 0.0
    return Workload(records, whole, sum(block.records for block in blocks), share, reads)


def _spread(source: Source, batch_size: int) -> list[_Block]:
    """Blocks at even distances, or the first ones of an endless source; all of a small one."""
    wanted = max(1, SAMPLE // batch_size)
    there = wanted if source.total is None else -(-source.total // batch_size)
    indices = sorted({number * there // wanted for number in range(wanted)}) if there > wanted else range(there)
    batches = [source.block(index) for index in indices]
    return [_look(batch, batch.size) for batch in batches if batch is not None]


def _forward(source: Source, batch_size: int, progress: Callable[[int], None]) -> list[_Block]:
    """A block beyond the start stands for all records from its own first one up to the next block's."""
    blocks: list[_Block] = []
    index, begun = 0, 0
    while (batch := source.block(index)) is not None:
        if blocks:
            blocks[-1] = _standing_for(blocks[-1], index * batch_size - begun)
        begun = index * batch_size
        blocks.append(_look(batch, batch.size))
        progress(begun + batch.size)
        if source.total is not None or begun + batch.size >= MAX_COUNTED:
            return blocks
        seen = begun + batch.size
        index += 1 if seen < SAMPLE else max(1, min(STRIDE, seen // 20) // batch_size)
    if blocks and source.total is not None:
        blocks[-1] = _standing_for(blocks[-1], source.total - begun)
    return blocks


def _look(batch: ReadBatch, stands_for: int) -> _Block:
    weight = stands_for / batch.size
    reads = [
        SampledRead(ref_seq, seq, _differences(ref_seq, seq), weight)
        for ref_seq, seq, disposition in zip(batch.ref_seq, batch.seq, batch.disposition, strict=True)
        if disposition is None
    ]
    return _Block(batch.size, stands_for, reads)


def _standing_for(block: _Block, records: int) -> _Block:
    weight = records / block.records
    return _Block(block.records, records, [read._replace(stands_for=weight) for read in block.reads])


def _differences(ref_seq: str, seq: str) -> list[tuple[int, str, str]]:
    return [call for call in align_calls(ref_seq, seq) if "N" not in call[1] + call[2]]
