"""``reads.fastq.gz``: the reads as they were sequenced, bgzip-compressed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pysam

from helix_ray.records import Read

COMPLEMENT = str.maketrans("ACGTRYKMBVDHU", "TGCAYRMKVBHDA")
NO_QUALITY = "I"
"""Phred 40, for reads that came without qualities: FASTQ has no way to leave them out."""
_BUFFER_BYTES = 1 << 16


class FastqFile:
    """Reads of the minus strand are written as sequenced: reverse-complemented, with their qualities reversed.

    A read that was placed on a reference is written without what its alignment clipped.
    """

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self._path = folder / "reads.fastq.gz"
        self._out = files.enter_context(pysam.BGZFile(str(self._path), "wb", None))
        self._lines: list[str] = []
        self._size = 0

    def add(self, read: Read) -> None:
        if not read.seq:
            return
        seq, qual = as_sequenced(read)
        self._lines.append(f"@{read.read_id}\n{seq}\n+\n{qual}\n")
        self._size += 2 * len(seq)
        if self._size > _BUFFER_BYTES:
            self._flush()

    def close(self) -> list[Path]:
        self._flush()
        self._out.close()
        return [self._path]

    def _flush(self) -> None:
        self._out.write("".join(self._lines).encode())
        self._lines.clear()
        self._size = 0


def as_sequenced(read: Read) -> tuple[str, str]:
    """Bases and qualities in the order in which the machine read them."""
    qual = NO_QUALITY * len(read.seq) if read.qual is None else read.qual
    if read.strand == "-":
        return read.seq.translate(COMPLEMENT)[::-1], qual[::-1]
    return read.seq, qual
