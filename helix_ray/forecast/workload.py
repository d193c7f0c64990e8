"""What a configuration's source will bring, without running it: how many records, how many of them are analysed, how long they are.

Synthetic reads are made by index, so a sample of them is spread over the whole run. A file is read to its end, or to the run's
count: the first records and one block of every further stretch are placed and looked at, the others are only counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from helix_ray.backends.aligner import align_calls
from helix_ray.config import Config, SourceKind
from helix_ray.records import ReadBatch, why_left_out
from helix_ray.sources import Source, make_source

SAMPLE = 2000  # records that are looked at: spread over a synthetic source, from the start of a file
STRIDE = 50_000
"""Of a file beyond its start one block is looked at in each stretch: a twentieth of what came before it, at most this many records."""
MAX_COUNTED = 20_000_000  # records of a file after which counting ends

AlignedCall = tuple[int, str, str]  # pos, ref, alt, by the aligner: what a right answer names


class SampledRead(NamedTuple):
    """A read that would be sent, and how many of the run it stands for."""

    ref_seq: str
    seq: str
    calls: list[AlignedCall]
    stands_for: float


@dataclass(frozen=True, slots=True)
class Workload:
    """``records`` None: the source is endless. ``whole`` False: the file holds more than ``records``, the rest was not counted."""

    records: int | None
    whole: bool
    looked_at: int  # records
    analysed_share: float  # 0..1, of the records: the others are unplaced, filtered or malformed
    reads: list[SampledRead]
    left_out: Mapping[str, int] = field(default_factory=dict)  # records looked at that are not analysed, by `records.LEFT_OUT`


class _Block(NamedTuple):
    batch: ReadBatch
    stands_for: int  # records


def sample_source(config: Config, progress: Callable[[int], None] = lambda _: None) -> Workload:
    """Looks at the source; ``progress`` receives how many records were counted. Raises InputError as the run would."""
    source, batch_size = make_source(config), config.source.batch_size
    synthetic = config.source.kind is SourceKind.SYNTHETIC
    blocks = _spread(source, batch_size) if synthetic else _forward(source, batch_size, progress)
    reads = [
        SampledRead(
            read.ref_seq,
            read.seq,
            [call for call in align_calls(read.ref_seq, read.seq) if "N" not in call[1] + call[2]],
            stands_for / batch.size,
        )
        for batch, stands_for in blocks
        for read in batch.rows()
        if read.disposition is None
    ]
    stood_for = sum(block.stands_for for block in blocks)
    return Workload(
        source.total if synthetic else stood_for,
        synthetic or source.total is not None,
        sum(block.batch.size for block in blocks),
        sum(read.stands_for for read in reads) / stood_for if stood_for else 0.0,
        reads,
        not_analysed(batch for batch, _ in blocks),
    )


def not_analysed(batches: Iterable[ReadBatch]) -> Counter[str]:
    """Reads that are not analysed, by `records.LEFT_OUT`."""
    rows = (read for batch in batches for read in batch.rows())
    return Counter(why_left_out(read.disposition, read.reason) for read in rows if read.disposition is not None)


def _spread(source: Source, batch_size: int) -> list[_Block]:
    """Blocks at even distances, or the first ones of an endless source; all of a small one."""
    wanted = max(1, SAMPLE // batch_size)
    there = wanted if source.total is None else -(-source.total // batch_size)
    indices = sorted({number * there // wanted for number in range(wanted)}) if there > wanted else range(there)
    batches = [source.block(index) for index in indices]
    return [_Block(batch, batch.size) for batch in batches if batch is not None]


def _forward(source: Source, batch_size: int, progress: Callable[[int], None]) -> list[_Block]:
    """A block beyond the start stands for all records from its own first one up to the next block's."""
    batches: list[ReadBatch] = []
    starts: list[int] = []
    index = seen = 0
    while (batch := source.block(index)) is not None:
        batches.append(batch)
        starts.append(index * batch_size)
        seen = starts[-1] + batch.size
        progress(seen)
        if source.total is not None or seen >= MAX_COUNTED:
            break
        index += 1 if seen < SAMPLE else max(1, min(STRIDE, seen // 20) // batch_size)
    ends = [*starts[1:], seen if source.total is None else source.total]
    return [_Block(batch, end - start) for batch, start, end in zip(batches, starts, ends, strict=False)]
