"""Reads from FASTA and FASTQ files, each placed on a reference.

A read's window is exactly the stretch of the reference that its primary alignment spans; what the alignment left out at its
ends (soft clips) is cut off and counted. Secondary and supplementary alignments are ignored. N in a read stays: an uncalled
base is no difference. Every record has its row; the endings before analysis, and their reasons:

    malformed   the parser's words       the record breaks the format (with ``source.on_error: skip``)
    unplaced    no_hit | empty_read      minimap2 finds no place
                too_short                fewer than 25 bases: chance would place too many of them
    filtered    too_long                 more than ``source.max_read_length`` bases; the sequence is not kept
                iupac                    the read or its window holds a code other than A, C, G, T, N; with
                                         ``source.iupac: n`` ambiguity codes become N, and only U is left to filter
                low_mapping_quality      below ``source.min_mapping_quality``
                repeated                 that too, since another place is as good
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from helix_ray.config import SourceConfig
from helix_ray.native import rust
from helix_ray.records import Disposition, Read
from helix_ray.sources import extension
from helix_ray.sources.files import regular_file
from helix_ray.sources.source import malformed, unanalysed

SMALL_REFERENCE_BYTES = 64 * 1024 * 1024
"""Up to this size the check before the start loads the reference whole; above it, the first contig."""

RECORDS_CHECKED = 5
"""Before the start: two pairs of mates and the end behind them."""


class _Placed(NamedTuple):
    """A row of `Placer.place`."""

    status: str  # placed | repeated | unplaced | too_short | iupac
    contig: str
    ref_start: int
    strand: str
    ref_seq: str
    seq: str
    kept: tuple[int, int]
    mapping_quality: int
    gc: float
    max_homopolymer: int


class FastxCursor:
    """An open file and the reference on which its reads are placed."""

    def __init__(self, config: SourceConfig, path: Path, placer: rust.Placer) -> None:
        self._config = config
        self._path = path
        self._placer = placer
        self._reader = extension.open_reader(path, config.kind.value, config.max_read_length)

    def skip(self, count: int) -> int:
        """Pass over records without placing them."""
        with extension.input_errors():
            return self._reader.skip(count)

    def read(self, count: int) -> list[Read]:
        """The next records, placed. InputError: a damaged file, or with ``on_error: stop`` a malformed record."""
        records = extension.records(self._reader, count)
        for record in records:
            if record.problem is not None and self._config.on_error == "stop":
                raise malformed(self._path, record.ordinal, record.line, record.problem)
        with extension.input_errors():
            placed = self._placer.place([record.seq for record in records])
        return [self._row(record, _Placed(*place)) for record, place in zip(records, zip(*placed, strict=True), strict=True)]

    def _row(self, record: extension.Record, place: _Placed) -> Read:
        kind = self._config.kind.value
        read_id = record.name or f"record{record.ordinal + 1}"
        if record.problem is not None:
            return unanalysed(record.ordinal, read_id, Disposition.MALFORMED, f"line {record.line}: {record.problem}", source=kind)
        strata = {"length": float(record.length)}
        if record.length > self._config.max_read_length:
            return unanalysed(record.ordinal, read_id, Disposition.FILTERED, "too_long", source=kind, strata=strata)
        if not place.contig:
            disposition = Disposition.FILTERED if place.status == "iupac" else Disposition.UNPLACED
            reason = {"unplaced": "no_hit"}.get(place.status, place.status) if record.seq else "empty_read"
            return unanalysed(record.ordinal, read_id, disposition, reason, source=kind, seq=record.seq, qual=record.qual, strata=strata)
        low = place.mapping_quality < self._config.min_mapping_quality
        return Read(
            read_index=record.ordinal,
            read_id=read_id,
            contig=place.contig,
            ref_start=place.ref_start,
            strand=place.strand,
            ref_seq=place.ref_seq,
            seq=place.seq,
            qual=_on_strand(record.qual, place),
            truth=None,
            identifiable=None,
            strata=strata
            | {
                "clipped": float(record.length - len(place.seq)),
                "mapq": float(place.mapping_quality),
                "n_bases": float(place.seq.count("N")),
                "gc": place.gc,
                "max_homopolymer": float(place.max_homopolymer),
            },
            disposition=Disposition.FILTERED if low else None,
            reason=None if not low else "repeated" if place.status == "repeated" else "low_mapping_quality",
            source=kind,
            checksum=extension.checksum(place.ref_seq, place.seq),
        )


def _on_strand(qual: str | None, place: _Placed) -> str | None:
    if qual is None:
        return None
    kept = qual[slice(*place.kept)]
    return kept[::-1] if place.strand == "-" else kept


def check_fastx(config: SourceConfig, path: Path, reference: Path) -> None:
    """What can be known cheaply: both files open, the first records are single reads, the reference is usable."""
    reader = extension.open_reader(path, config.kind.value, config.max_read_length)
    records = extension.records(reader, RECORDS_CHECKED)
    if records and records[0].problem is not None and config.on_error == "stop":
        raise malformed(path, records[0].ordinal, records[0].line, records[0].problem)
    if regular_file(reference).stat().st_size <= SMALL_REFERENCE_BYTES:
        extension.open_placer(reference)
    else:
        extension.first_contig(reference)
