"""Files as such: compression, other formats, what is no file. One line a case; docs/input.md is made of it."""

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

from support.input_case import (
    ADDED,
    CUT,
    FQ,
    FQ2,
    FROM_SAM,
    MANY,
    NO_MARKER,
    NOT_REGULAR,
    TOO_LONG,
    UNLIKE_FASTQ,
    WRONG_SUM,
    ZIPPED,
    Case,
    aligned,
    bgzip,
    dangling,
    endless,
    flipped,
    hole,
    read,
    refused,
    zeros,
    zstd,
)

NO_BAM = (
    ": the file is cut short or damaged, or it is CRAM of another reference than source.reference; copy it again, or name the right "
    "reference"
)


def compressed(name: str, ending: str, compress: Callable[[bytes], bytes], damaged: str, added: str) -> list[Case]:
    """What holds for every compression but gzip, whose cases stand one by one. ``damaged``, ``added``: what the decoder says."""
    whole, many = compress(FQ), compress(gzip.decompress(MANY))
    tool = {"bzip2": "bunzip2"}.get(name, f"un{name}")
    end_early = f"the {name} data end early: the file is cut short; copy it again"
    return [
        read(f"{name}, name in capitals", f"R.FASTQ{ending.upper()}", whole, "ACGT"),
        read(f"{name}, whose name does not say so", "r.fastq", whole, "ACGT"),
        read(f"{name}, several streams, one of them empty", f"r.fastq{ending}", whole + compress(b"") + compress(FQ2), "ACGT", "GGCC"),
        read(f"{name}, a record that spans two streams", f"r.fastq{ending}", compress(FQ[:6]) + compress(FQ[6:]), "ACGT"),
        refused(f"{name}, cut within the header", f"r.fastq{ending}", whole[:7], end_early),
        refused(f"{name}, cut within the data", f"r.fastq{ending}", many[: len(many) // 2], f"…{end_early}"),
        refused(f"{name}, cut before its last byte", f"r.fastq{ending}", many[:-1], f"…{end_early}"),
        refused(f"{name}, a second stream that is cut", f"r.fastq{ending}", whole + whole[:9], f"…{end_early}"),
        refused(
            f"{name}, damaged",
            f"r.fastq{ending}",
            flipped(many, -3 if name == "bzip2" else len(many) // 2),
            f"…the {name} data are damaged ({damaged}); copy the file again",
        ),
        refused(f"{name}, text behind it", f"r.fastq{ending}", whole + b"text that is not compressed", f"…{added}"),
        refused(f"{name}, within gzip", "r.fastq.gz", gzip.compress(whole), f"is compressed twice; decompress it once ({tool})"),
    ]


SECTIONS: dict[str, list[Case]] = {
    "Compression": [
        read("gzip", "r.fastq.gz", ZIPPED, "ACGT"),
        read("gzip whose name does not say so", "r.fastq", ZIPPED, "ACGT"),
        read("bgzip (BGZF)", "r.fastq.gz", bgzip(FQ), "ACGT"),
        read("several members, one of them empty", "r.fastq.gz", ZIPPED + gzip.compress(b"") + gzip.compress(FQ2), "ACGT", "GGCC"),
        read("a record that spans two members", "r.fastq.gz", gzip.compress(FQ[:6]) + gzip.compress(FQ[6:]), "ACGT"),
        refused("cut within the header", "r.fastq.gz", ZIPPED[:7], CUT),
        refused("cut within the data", "r.fastq.gz", MANY[: len(MANY) // 2], "…: " + CUT),
        refused("cut before the checksum", "r.fastq.gz", ZIPPED[:-8], f"record 2 (line 5): {CUT}"),
        refused("cut within the length field", "r.fastq.gz", ZIPPED[:-1], f"record 2 (line 5): {CUT}"),
        refused("a wrong checksum", "r.fastq.gz", flipped(ZIPPED, -6), f"record 2 (line 5): {WRONG_SUM}"),
        refused("a wrong length field", "r.fastq.gz", flipped(ZIPPED, -1), f"record 2 (line 5): {WRONG_SUM}"),
        refused(
            "damage within the data",
            "r.fastq.gz",
            flipped(ZIPPED, 10),
            "the gzip data are damaged (corrupt deflate stream); copy the file again",
        ),
        refused("a damaged header", "r.fastq.gz", flipped(ZIPPED, 2), ADDED),
        refused("a damaged second member", "r.fastq.gz", ZIPPED + flipped(gzip.compress(FQ2), -6), f"record 3 (line 9): {WRONG_SUM}"),
        refused("a second member that is cut", "r.fastq.gz", ZIPPED + gzip.compress(FQ2)[:12], f"record 2 (line 5): {CUT}"),
        refused("text behind the last member", "r.fastq.gz", ZIPPED + b"text that is no gzip", f"record 2 (line 5): {ADDED}"),
        refused("zeros behind the last member", "r.fastq.gz", ZIPPED + bytes(512), f"record 2 (line 5): {ADDED}"),
        refused("bgzip without its end marker", "r.fastq.gz", bgzip(FQ)[:-28], NO_MARKER),
        refused("bgzip with something behind it", "r.fastq.gz", bgzip(FQ) + b"\n", NO_MARKER),
        refused("gzip within gzip", "r.fastq.gz", gzip.compress(ZIPPED), "is compressed twice; decompress it once (gunzip)"),
        refused("gzip of nothing", "r.fastq.gz", gzip.compress(b""), "is empty"),
        refused("10 GB of one base in one record, in 10 MB of gzip", "r.fa.gz", endless(b">r1\n"), f"record 1 (line 1): {TOO_LONG}"),
        refused("the same as FASTQ, behind a good record", "r.fastq.gz", endless(FQ + b"@r2\n"), f"record 2 (line 5): {TOO_LONG}"),
        refused("10 GB of zeros in 10 MB of gzip", "r.fastq.gz", zeros, UNLIKE_FASTQ + "begins with '\\x00'"),
    ],
    "Bzip2, xz, zstd": [
        *compressed("bzip2", ".bz2", bz2.compress, "bzip2: invalid data", ADDED.replace("gzip", "bzip2")),
        *compressed("xz", ".xz", lzma.compress, "lzma data error", "the xz data are damaged (lzma data error); copy the file again"),
        *compressed("zstd", ".zst", zstd, "Data corruption detected", ADDED.replace("gzip", "zstd")),
    ],
    "Other formats": [
        refused("zip", "r.fastq", b"PK\x03\x04\x14", "is a zip archive; unpack it (unzip) and name the file of reads in it"),
        refused(
            "tar",
            "r.fastq",
            b"reads.fastq".ljust(257, b"\0") + b"ustar\x0000",
            "is a tar archive; unpack it (tar xf) and name the file of reads in it",
        ),
        read("unaligned BAM", "r.bam", aligned("wb", (4, "ACGT"), (4, "GGCC")), "ACGT", "GGCC"),
        read(
            "aligned BAM",
            "r.bam",
            aligned("wb", (0, "ACGT"), (16, "ACGTTG"), (256, "ACGT"), (2048, "ACGT")),
            "ACGT",
            "CAACGT",
        ),
        read("unaligned CRAM", "r.cram", aligned("wc", (4, "ACGT"), (4, "GGCC")), "ACGT", "GGCC"),
        refused("BAM, cut short", "r.bam", aligned("wb", (4, "ACGT"), keep=0.9), "record …" + NO_BAM),
        refused("CRAM whose reference is another", "r.cram", aligned("wc", (0, "ACGT")), "record …" + NO_BAM),
        refused(
            "BAM of mates",
            "r.bam",
            aligned("wb", (77, "ACGT"), (141, "GGCC")),
            "record 1: 'r1' is one of two mates, but each read is analysed by itself; take them out and name one file: "
            "samtools fastq -1 reads_1.fastq -2 reads_2.fastq reads.bam",
        ),
        refused(
            "BAM under `source.kind: fasta`",
            "r.fa",
            bgzip(b"BAM\x01\x00\x00"),
            "is BAM; helix run reads it under source.kind: fastq; elsewhere take the reads out: samtools fastq reads.bam > reads.fastq",
        ),
        refused(
            "SAM",
            "r.fastq",
            b"@HD\tVN:1.6\n@SQ\tSN:c\tLN:9\n",
            "record 1 (line 1): is SAM (aligned reads); take the reads out: " + FROM_SAM,
        ),
        refused(
            "SAM without header",
            "r.fastq",
            b"r1\t0\tc\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\n",
            "record 1 (line 1): is SAM (aligned reads) without a header; "
            "take the reads out: samtools fastq -t reference.fa.fai reads.sam > reads.fastq",
        ),
        refused("VCF", "r.fa", b"##fileformat=VCFv4.3\n", "record 1 (line 1): is VCF (variants); name a file of reads"),
        refused("BCF", "r.fa", bgzip(b"BCF\x02\x02"), "is BCF (variants); name a file of reads"),
        refused("UTF-16", "r.fa", ">r1\nAC\n".encode("utf-16"), "is UTF-16 text; save it as plain text (UTF-8)"),
        refused(
            "an error page",
            "r.fa",
            b"<html>404</html>\n",
            "record 1 (line 1): is HTML or XML, perhaps an error page that was saved; fetch the file again",
        ),
        refused("an index", "r.fa", b"BAI\x01\x00", "is a BAM index; name the file of reads, not its index"),
    ],
    "Files": [
        refused("nothing", "r.fastq", b"", "is empty"),
        refused("blank lines only", "r.fastq", b"\n\r\n\n", "holds only blank lines"),
        refused("no such file", "r.fastq", lambda path: None, "no such file"),
        refused("a pattern", "*.fastq", lambda path: None, "no such file; patterns are not expanded: name one file"),
        refused("a symbolic link to nothing", "r.fastq", dangling, "is a symbolic link to a file that does not exist"),
        refused("a directory", "r.fastq", Path.mkdir, "is a directory; name one file"),
        refused("a socket", "r.fastq", lambda path: os.mknod(path, 0o140600), f"is a socket; {NOT_REGULAR}"),
        refused("a device", "r.fastq", lambda path: path.symlink_to("/dev/zero"), f"is a device; {NOT_REGULAR}"),
        refused("a gigabyte without a line end", "r.fastq", hole, f"record 1 (line 1): {TOO_LONG}"),
    ],
}
