"""What every source offers: reads by index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from helix_ray.records import ReadBatch


class Source(Protocol):
    """Reads, addressed by index: the same index is the same read, on every ask and in every process.

    Block b holds the reads b*batch_size up to (b+1)*batch_size; the last block may hold fewer.
    """

    total: int | None
    """Number of reads, once it is known. A file's is not known before its end was reached; endless: None."""

    @property
    def checksum(self) -> str | None:
        """Of the input files (as `SourceFacts.checksum`); None where there are none. Reads the files when first asked."""

    def block(self, index: int) -> ReadBatch | None:
        """Block ``index``; None past the end. InputError when the file cannot be read on."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What identifies the input of a run. Hexadecimal SHA-256; all None for synthetic reads without a reference."""

    checksum: str | None
    """Of every file that decides the reads: the one that there is, or that of reads and reference together."""
    path_checksum: str | None = None
    """Of ``source.path`` alone, as sha256sum prints it."""
    reference_checksum: str | None = None
