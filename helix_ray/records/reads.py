"""Reads with their reference windows, and the variants in them."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple


class Disposition(StrEnum):
    """How a finished read ended: the ``disposition`` of its one final row."""

    STORED = "stored"
    DEAD_LETTER = "dead_letter"
    UNPLACED = "unplaced"
    FILTERED = "filtered"
    MALFORMED = "malformed"


LEFT_OUT = {
    "no_hit": "with no place on the reference",
    "repeated": "with another place as good",
    "low_mapping_quality": "below source.min_mapping_quality",
    "too_short": "too short: reads can be placed from 25 bases on",
    "empty_read": "without bases",
    "too_long": "longer than source.max_read_length",
    "iupac": "with ambiguity codes (source.iupac)",
    "malformed": "malformed",
}
"""Why a source leaves reads out, in words: the ``reason`` of unplaced and filtered ones, and one for all that are malformed."""


def why_left_out(disposition: str, reason: str | None) -> str:
    """The key of `LEFT_OUT` for a read that a source left out."""
    return disposition if disposition == Disposition.MALFORMED or not reason else reason


def left_out(counts: Mapping[str, float]) -> str:
    """``12 with no place on the reference, 3 malformed``; empty when nothing is left out."""
    return ", ".join(f"{round(count):,} {LEFT_OUT.get(reason, reason)}" for reason, count in counts.items() if count)


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

    @property
    def packed(self) -> bytes:
        """The read as it crosses actor boundaries: a pickle of its fields as plain values, which `rust.packed_reads` writes too."""
        truth, errors, ending = self.truth, self.errors, self.disposition
        plain = self._replace(
            truth=None if truth is None else tuple(map(tuple, truth)),  # type: ignore[arg-type]
            errors=None if errors is None else tuple(map(tuple, errors)),  # type: ignore[arg-type]
            disposition=None if ending is None else ending.value,  # type: ignore[arg-type]
        )
        return pickle.dumps(tuple(plain), protocol=5)

    @classmethod
    def unpacked(cls, packed: bytes) -> Read:
        plain = cls._make(pickle.loads(packed))  # noqa: S301  of our own actors
        truth, errors, ending = plain.truth, plain.errors, plain.disposition
        return plain._replace(
            truth=truth and tuple(map(Variant._make, truth)),
            errors=errors and tuple(map(Variant._make, errors)),
            disposition=None if ending is None else Disposition(ending),
        )


class PackedRead(NamedTuple):
    """A read that is passed on and not looked into."""

    read_index: int
    packed: bytes


class ReadBatch(NamedTuple):
    """Reads as two columns of equal length: what crosses actor boundaries. A `Read` is made of one where it is worked on."""

    read_index: list[int]
    packed: list[bytes]

    @classmethod
    def from_rows(cls, rows: Iterable[Read | PackedRead]) -> ReadBatch:
        pairs = [(row.read_index, row.packed) for row in rows]
        return cls([index for index, _ in pairs], [packed for _, packed in pairs])

    def rows(self) -> list[Read]:
        return list(map(Read.unpacked, self.packed))

    def packed_rows(self) -> list[PackedRead]:
        return list(map(PackedRead, self.read_index, self.packed))

    @property
    def size(self) -> int:
        """Number of reads (``len()`` is taken by the tuple of columns)."""
        return len(self.read_index)
