"""On which contigs exported positions lie: each window's own, or those of the reference that the windows were cut from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from helix_ray.errors import InputError
from helix_ray.records import Read
from helix_ray.sources import extension

WHOLE_CONTIG = 2**63 - 1


class Place(NamedTuple):
    """Where a window begins."""

    contig: str
    start: int  # 0-based
    rank: int  # of the contig in the header


class Contig(NamedTuple):
    name: str
    length: int  # bases


class Coordinates(Protocol):
    """Places windows on the contigs of the exported files."""

    sorted_input: bool
    """Whether windows that come in the order of their index are in the order of their place."""

    def place(self, read: Read) -> Place: ...

    def contig_of(self, read: Read) -> Contig | None:
        """The contig that comes into being with this read; None when all were known before."""

    def known_contigs(self) -> list[Contig]:
        """Those that are known before the first read."""


class WindowCoordinates:
    """Every window is a contig of its own: overlapping windows do not meet, and each read can be rebuilt from its contig."""

    sorted_input = True

    def place(self, read: Read) -> Place:
        return Place(window_name(read), 0, read.read_index)

    def contig_of(self, read: Read) -> Contig:
        return Contig(window_name(read), len(read.ref_seq))

    def known_contigs(self) -> list[Contig]:
        return []


class ReferenceCoordinates:
    """Positions on the contigs of ``source.reference``. Windows may overlap, so variants are sorted in memory."""

    sorted_input = False

    def __init__(self, reference: Path) -> None:
        self.reference = reference
        self._contigs = [Contig(name, length) for name, length, _ in read_contigs(reference, keep_bases=0)]
        self._ranks = {contig.name: rank for rank, contig in enumerate(self._contigs)}

    def place(self, read: Read) -> Place:
        rank = self._ranks.get(read.contig)
        if rank is None:
            raise InputError(f"{self.reference}: has no contig '{read.contig}', on which read {read.read_id} lies; was the file changed?")
        return Place(read.contig, read.ref_start, rank)

    def contig_of(self, read: Read) -> None:
        return

    def known_contigs(self) -> list[Contig]:
        return self._contigs


def window_name(read: Read) -> str:
    """A name that no other window of the run has: a read of a file may share its own with its mate."""
    return read.read_id if read.source == "synthetic" else f"read{read.read_index}"


def read_contigs(reference: Path, keep_bases: int = WHOLE_CONTIG) -> Iterator[tuple[str, int, str]]:
    """Name, length and bases (upper case; empty when longer than ``keep_bases``) of each contig."""
    reader = extension.open_contigs(reference, keep_bases)
    while True:
        with extension.input_errors():
            _, _, names, bases, _, lengths, problems = reader.read(1)
        if not names:
            return
        if problems[0] is not None:
            raise InputError(f"{reference}: contig '{names[0]}': {problems[0]}")
        yield names[0], lengths[0], bases[0]
