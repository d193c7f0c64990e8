"""The reads as their source made them: on which contigs they lie, and their files ``reads.fastq.gz``, ``reference.fa``, ``regions.bed``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pysam

from helix_ray.errors import InputError
from helix_ray.records import Read
from helix_ray.sources import extension

WHOLE_CONTIG = 2**63 - 1
LINE_BASES = 80
COMPLEMENT = str.maketrans("ACGTRYKMBVDHU", "TGCAYRMKVBHDA")
NO_QUALITY = "I"  # Phred 40, for reads that came without qualities: FASTQ has no way to leave them out


class Place(NamedTuple):
    """Where a window begins."""

    contig: str
    start: int  # 0-based
    rank: int  # of the contig in the header


class Contig(NamedTuple):
    name: str
    length: int  # bases


class WindowCoordinates:
    """Every window is a contig of its own: overlapping windows do not meet, and each read can be rebuilt from its contig."""

    sorted_input = True  # windows in the order of their index are in the order of their place
    known_contigs: tuple[Contig, ...] = ()  # before the first read

    def place(self, read: Read) -> Place:
        return Place(window_name(read), 0, read.read_index)

    def contig_of(self, read: Read) -> Contig | None:
        """The contig that comes into being with this read; None when all were known before."""
        return Contig(window_name(read), len(read.ref_seq))


class ReferenceCoordinates:
    """Positions on the contigs of ``source.reference``. Windows may overlap, so variants are sorted in memory."""

    sorted_input = False

    def __init__(self, reference: Path) -> None:
        self.reference = reference
        self.known_contigs = tuple(Contig(name, length) for name, length, _ in read_contigs(reference, keep_bases=0))
        self._ranks = {contig.name: rank for rank, contig in enumerate(self.known_contigs)}

    def place(self, read: Read) -> Place:
        rank = self._ranks.get(read.contig)
        if rank is None:
            raise InputError(f"{self.reference}: has no contig '{read.contig}', on which read {read.read_id} lies; was the file changed?")
        return Place(read.contig, read.ref_start, rank)

    def contig_of(self, read: Read) -> Contig | None:
        return None


Coordinates = WindowCoordinates | ReferenceCoordinates


@dataclass(frozen=True, slots=True)
class Context:
    """What the writers of one export share."""

    folder: Path
    files: ExitStack  # closes what writers opened, however the export ends
    coordinates: Coordinates
    header: list[str]  # VCF header lines that say where it comes from
    simulated: bool  # the answers are the emulator's
    about: dict[str, str]  # where it comes from, for the metadata of files that have some
    run: dict[str, Any]  # `Provenance` of the run whose results are being added
    name: str  # of the run, fit for a file's name


class TextFile:
    """A file of lines, closed with the export at the latest."""

    name: ClassVar[str]
    newline: ClassVar[str | None] = None

    def __init__(self, context: Context) -> None:
        self.context = context
        self.path = context.folder / self.name
        self.out = context.files.enter_context(self.path.open("w", encoding="utf-8", newline=self.newline))

    def close(self) -> list[Path]:
        self.out.close()
        return [self.path]


class RegionsBed(TextFile):
    """Each window with a known truth, 0-based, half-open: the truth is complete in all of it, and calls are scored wherever they lie."""

    name = "regions.bed"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._unsorted: list[tuple[int, int, str]] = []

    def add(self, read: Read) -> None:
        if read.truth is None or not read.ref_seq:
            return
        place = self.context.coordinates.place(read)
        start = place.start
        line = f"{place.contig}\t{start}\t{start + len(read.ref_seq)}\t{read.read_id}\n"
        if self.context.coordinates.sorted_input:
            self.out.write(line)
        else:
            self._unsorted.append((place.rank, start, line))

    def close(self) -> list[Path]:
        self._unsorted.sort()
        self.out.writelines(line for *_, line in self._unsorted)
        return super().close()


class ReferenceFasta(TextFile):
    """Each window as a contig, or a copy of the reference in upper case; with its index."""

    name = "reference.fa"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        if isinstance(context.coordinates, ReferenceCoordinates):
            for name, _, bases in read_contigs(context.coordinates.reference):
                self._write(name, bases)

    def add(self, read: Read) -> None:
        if isinstance(self.context.coordinates, WindowCoordinates) and read.ref_seq:
            cut = "" if read.contig == window_name(read) else f" {read.contig}:{read.ref_start + 1}-{read.ref_start + len(read.ref_seq)}"
            self._write(f"{window_name(read)}{cut}", read.ref_seq)

    def close(self) -> list[Path]:
        super().close()
        pysam.faidx(str(self.path))
        return [self.path, self.path.with_name("reference.fa.fai")]

    def _write(self, header: str, bases: str) -> None:
        self.out.write(f">{header}\n")
        self.out.writelines(f"{bases[at : at + LINE_BASES]}\n" for at in range(0, len(bases), LINE_BASES))


class FastqFile:
    """Reads of the minus strand are written as sequenced: reverse-complemented, with their qualities reversed. Bgzip-compressed.

    A read that was placed on a reference is written without what its alignment clipped.
    """

    def __init__(self, context: Context) -> None:
        self._path = context.folder / "reads.fastq.gz"
        self._out = context.files.enter_context(pysam.BGZFile(str(self._path), "wb", None))

    def add(self, read: Read) -> None:
        if read.seq:
            seq, qual = as_sequenced(read)
            self._out.write(f"@{read.read_id}\n{seq}\n+\n{qual}\n".encode())

    def close(self) -> list[Path]:
        self._out.close()
        return [self._path]


def as_sequenced(read: Read) -> tuple[str, str]:
    """Bases and qualities in the order in which the machine read them."""
    qual = NO_QUALITY * len(read.seq) if read.qual is None else read.qual
    if read.strand == "-":
        return read.seq.translate(COMPLEMENT)[::-1], qual[::-1]
    return read.seq, qual


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
