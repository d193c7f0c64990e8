"""What the tables of input files are made of: a case, the texts that come more than once, files of every kind."""

import gzip
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pysam

Content = bytes | Callable[[Path], None]


class Case(NamedTuple):
    """One file and how reading it ends: ``read``, ``malformed`` or ``refused``."""

    about: str
    name: str  # of the file; its ending says the kind
    content: Content  # the file's bytes, or what makes it
    ending: str
    text: str = ""  # of the error, without the path; of a malformed record without its place
    at: tuple[int, int] = (0, 0)  # record and line of a malformed record
    seqs: tuple[str, ...] = ()  # of the reads before, between and after

    @property
    def kind(self) -> str:
        if self.name.startswith("pairs"):
            return "pairs"
        return "fasta" if self.name.removesuffix(".gz").endswith((".fa", ".fasta")) else "fastq"


def read(about: str, name: str, content: Content, *seqs: str) -> Case:
    return Case(about, name, content, "read", seqs=seqs)


def malformed(about: str, name: str, content: Content, at: tuple[int, int], text: str, *seqs: str) -> Case:
    return Case(about, name, content, "malformed", text, at, seqs)


def refused(about: str, name: str, content: Content, text: str) -> Case:
    return Case(about, name, content, "refused", text)


def bgzip(data: bytes) -> bytes:
    """BGZF of one block and its end marker (SAM specification, section 4.1)."""
    return _block(data) + _block(b"")


def _block(data: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    head = struct.pack("<4BIBBHBBHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)
    return head + body + struct.pack("<II", zlib.crc32(data), len(data))


def flipped(data: bytes, place: int) -> bytes:
    """``data`` with one byte changed."""
    place %= len(data)
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


FQ = b"@r1\nACGT\n+\nIIII\n"
FQ2 = b"@r2\nGGCC\n+\nIIII\n"
FA = b">r1\nACGT\n"
FA2 = b">r2\nGGCC\n"


def zstd(data: bytes) -> bytes:
    """One frame, without the checksum that zstd(1) adds."""
    return bytes(pyarrow.compress(data, codec="zstd", asbytes=True))


def aligned(mode: str, *records: tuple[int, str], keep: float = 1.0) -> Callable[[Path], None]:
    """BAM ("wb") or CRAM ("wc") of records: flag and bases as they stand in the file; those that are aligned lie at base 1 of `CONTIG`.
    ``keep``: the share of the bytes that is left.
    """

    def write(path: Path) -> None:
        reference = path.with_name("contig.fa")
        reference.write_text(f">c\n{CONTIG}\n")
        header = pysam.AlignmentHeader.from_dict({"HD": {"VN": "1.6"}, "SQ": [{"SN": "c", "LN": len(CONTIG)}]})
        with pysam.AlignmentFile(str(path), mode, header=header, reference_filename=str(reference)) as file:
            for number, (flag, seq) in enumerate(records, 1):
                record = pysam.AlignedSegment(header)
                record.query_name, record.flag, record.query_sequence = f"r{number}", flag, seq
                record.query_qualities = pysam.qualitystring_to_array("ABCDEFGH"[: len(seq)])
                if not flag & 4:
                    record.reference_id, record.reference_start, record.cigarstring = 0, 0, f"{len(seq)}M"
                file.write(record)
        os.truncate(path, int(keep * path.stat().st_size))

    return write


CONTIG = "TTGACCATGGCATTACGCAGGTTACCAGATCAGCTA"
ZIPPED = gzip.compress(FQ, mtime=0)
MANY = gzip.compress(
    b"".join(b"@r%d\n%s\n+\n%s\n" % (i, b"ACGTTGCA" * (i % 5 + 1), b"IIIIIIII" * (i % 5 + 1)) for i in range(200)), mtime=0
)
TSV = b"p1\tACGT\tACGA\n"
JSONL = b'{"id": "p1", "window": "ACGT", "read": "ACGA"}\n'

CUT = "the gzip data end early: the file is cut short; copy it again"
ADDED = "what follows the gzip data is not gzip: the file is damaged or was added to; copy it again"
WRONG_SUM = "the gzip data are damaged (corrupt gzip stream does not have a matching checksum); copy the file again"
NO_MARKER = "is BGZF (bgzip) without its end marker: it is cut short or was added to; copy it again"
MATES = (
    "record 1: the mates of pairs follow each other (interleaved), but each read is analysed by itself; split the file "
    "(seqtk seq -1 reads > reads_1, seqtk seq -2 reads > reads_2) and give one of the two"
)
WRAPPED = (
    "the third line holds bases, not '+': the record is wrapped or its '+' line is missing; write sequence and quality "
    "on one line each (seqtk seq -l0 wrapped.fastq > reads.fastq)"
)
TOO_LONG = "longer than 16777216 bytes, the most that a record may have; is this a file of reads?"
NOT_REGULAR = "it is read more than once, so a regular file is needed: write the data to one"
ONE_FILE = "mates are not paired, each read is analysed by itself: run each file by itself"
GAP = "a gap or an unknown base; remove gaps, write unknown bases as N"
CODE = "not a nucleotide code"

UNLIKE_FASTQ = "record 1 (line 1): expected '@' as the first character: the file "
UNLIKE_FASTA = "record 1 (line 1): expected '>' as the first character: the file "
FROM_SAM = "samtools fastq reads.sam > reads.fastq"
CR_ALONE = "has lines that end in CR alone, as on old Macintoshes; convert them: tr '\\r' '\\n'"
NO_PAIR = 'expected {"id": text, "window": bases, "read": bases} and no other key'
BLANKS = "remove blanks from the sequence"


def endless(head: bytes) -> Callable[[Path], None]:
    """A record of 10 GB of one base in 10 MB of gzip."""
    return lambda path: _repeat(path, gzip.compress(head, mtime=0), gzip.compress(b"A" * 2**24, mtime=0), 640)


def zeros(path: Path) -> None:
    """10 GB of zeros in 10 MB of gzip."""
    _repeat(path, b"", gzip.compress(bytes(2**24), mtime=0), 640)


def _repeat(path: Path, head: bytes, member: bytes, times: int) -> None:
    with path.open("wb") as file:
        file.write(head)
        for _ in range(times):
            file.write(member)


def hole(path: Path) -> None:
    """A gigabyte without a line end; it takes no room on the disk."""
    path.write_bytes(b"@r1\tA\tA\n")  # a header, or a pair
    os.truncate(path, 2**30)


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("gone.fastq"))


def two_files(path: Path) -> None:
    for part in str(path).split(","):
        Path(part).write_bytes(FQ)
