"""The border between sources and the compiled extension: names for its columns, our errors for its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from helix_ray.errors import InputError
from helix_ray.native import rust

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""Of one record of a reads file: twice the longest nanopore reads, and little enough to be held in memory several times."""
MAX_CONTIG_BYTES = 2**32
"""Of one contig of a reference, as `files/reference.rs` has it."""


class Record(NamedTuple):
    """A row of `rust.FastxReader.read`."""

    ordinal: int  # from 0
    line: int  # of its header, from 1
    name: str
    seq: str
    qual: str | None
    length: int
    problem: str | None


def require() -> None:
    """StartError when the extension is not built."""
    version()


def version() -> str:
    return str(rust.GENERATOR_VERSION)


def packed_reads(seed: int, config_json: str, start: int, count: int, genome: rust.Genome | None = None) -> list[bytes]:
    """Synthetic records as `Read.packed` has them; InputError when the mutation model, or the genome with it, cannot be used."""
    try:
        return rust.packed_reads(seed, config_json, start, count, genome)
    except ValueError as error:
        raise InputError(f"source.mutation: {error}") from None


def checksum(ref_seq: str, seq: str) -> int:
    """Of a read whose truth is unknown; 64 bits."""
    return rust.checksum(ref_seq, seq, None)


@contextmanager
def input_errors() -> Iterator[None]:
    """Turn the extension's InputFileError into InputError with the same message. Also a decorator."""
    try:
        yield
    except rust.InputFileError as error:
        raise InputError(error.args[0]) from None


@input_errors()
def open_reader(path: Path, kind: str, keep_bases: int, *, refuse_mates: bool = True) -> rust.FastxReader:
    return rust.FastxReader(path, kind, MAX_RECORD_BYTES, keep_bases, refuse_mates)


@input_errors()
def open_contigs(reference: Path, keep_bases: int) -> rust.FastxReader:
    """The contigs of a reference one by one, however long; only the lengths of those above ``keep_bases``."""
    return rust.FastxReader(reference, "fasta", MAX_CONTIG_BYTES, keep_bases, False)


@input_errors()
def open_lines(path: Path, max_line_bytes: int) -> rust.LineReader:
    """A text file, plain or compressed, line by line."""
    return rust.LineReader(path, max_line_bytes)


@input_errors()
def open_placer(reference: Path, *, ambiguous_as_n: bool = False) -> rust.Placer:
    """Load and index a reference; takes some 10 bytes of memory and 0.1 microseconds a base."""
    return rust.Placer(reference, ambiguous_as_n)


@input_errors()
def open_genome(reference: Path) -> rust.Genome:
    """Load a reference from which windows are drawn; takes its size in memory, in every producer."""
    return rust.Genome(reference)


@input_errors()
def records(reader: rust.FastxReader, count: int) -> list[Record]:
    """The next ``count`` records, fewer at the end."""
    return [Record(*row) for row in zip(*reader.read(count), strict=True)]


def first_contig(reference: Path) -> None:
    """Read as much of a reference as shows that it is one. InputError if it is none."""
    problem = records(open_contigs(reference, 0), 1)[0].problem
    if problem is not None:
        raise InputError(f"{reference}: record 1: {problem}")
