"""Reads with their reference windows, and the variants in them."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Disposition(StrEnum):
    """How a finished read ended: the ``disposition`` of its one final row."""

    STORED = "stored"
    DEAD_LETTER = "dead_letter"
    UNPLACED = "unplaced"
    FILTERED = "filtered"
    MALFORMED = "malformed"


class Variant(NamedTuple):
    """One small variant in VCF form, relative to a read's reference window."""

    pos: int  # 1-based in the window
    ref: str
    alt: str
    type: str  # SNV | MNV | INS | DEL | DELINS: a function of the alleles
    event: str  # what the generator did: snv | mnv | ins | del | dup | inv | complex
    length: int | None = None  # changed bases: of the MNV, inserted, deleted; of a DELINS the longer allele's. None: not counted
    spdi: str | None = None  # contig:start:deleted:inserted, 0-based, over the whole ambiguous region (Holmes 2020, PMC7523648)
    titv: str | None = None  # ti | tv of an SNV


class Read(NamedTuple):
    """One read beside its reference window.

    ``truth`` is None when unknown (real data) and empty when the read is known to be clean. ``disposition`` is None for a
    read to analyse; otherwise it already names the ending (unplaced, filtered, malformed) that ``reason`` explains, and
    the read passes every stage untouched on its way to its row. ``read_id`` is for people and never reaches a prompt.

    ``errors`` are sequencing errors: a layer of their own, never part of the truth. Truth and errors together, applied to
    ``ref_seq``, give ``seq`` (N apart, which matches anything).
    """

    read_index: int
    read_id: str
    contig: str
    ref_start: int
    strand: str  # "+" | "-"
    ref_seq: str
    seq: str  # on the reference's strand
    qual: str | None  # Phred+33, as long as seq
    truth: tuple[Variant, ...] | None
    identifiable: bool | None
    strata: dict[str, float] | None
    disposition: Disposition | None
    reason: str | None
    source: str = "synthetic"  # synthetic | fasta | fastq | pairs
    errors: tuple[Variant, ...] | None = None  # None when unknown
    checksum: int | None = None  # 64 bits over ref_seq, seq and truth, taken where the read was made; None: not taken


class ReadBatch(NamedTuple):
    """Reads as columns of equal length, in the order of `Read`'s fields: what crosses actor boundaries."""

    read_index: list[int]
    read_id: list[str]
    contig: list[str]
    ref_start: list[int]
    strand: list[str]
    ref_seq: list[str]
    seq: list[str]
    qual: list[str | None]
    truth: list[tuple[Variant, ...] | None]
    identifiable: list[bool | None]
    strata: list[dict[str, float] | None]
    disposition: list[Disposition | None]
    reason: list[str | None]
    source: list[str]
    errors: list[tuple[Variant, ...] | None]
    checksum: list[int | None]

    @classmethod
    def from_rows(cls, rows: list[Read]) -> ReadBatch:
        return cls(*map(list, zip(*rows, strict=True))) if rows else cls(*([] for _ in cls._fields))

    def rows(self) -> list[Read]:
        return [Read._make(row) for row in zip(*self, strict=True)]

    @property
    def size(self) -> int:
        """Number of reads (``len()`` is taken by the tuple of columns)."""
        return len(self.read_index)
