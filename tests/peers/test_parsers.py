"""FASTA and FASTQ beside two other parsers: pysam's FastxFile (kseq, lenient) and dnaio (four lines a record, strict).

Seeded files are damaged at random. Where all three read a file whole, they read the same records. Where one of them refuses what
another reads, the reason is one of those that stand here. ``HELIX_FUZZ_CASES`` asks for more files.
"""

from __future__ import annotations

import json
import os
import random
import re
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pysam
import pytest

from helix_ray.errors import InputError
from helix_ray.sources import extension

pytestmark = [pytest.mark.peer, pytest.mark.timeout(3000)]

PYTHON = Path(os.environ.get("HELIX_PEERS", ".venv/peers")) / "bin" / "python"
CASES = int(os.environ.get("HELIX_FUZZ_CASES", "4000"))

Row = tuple[str, str, str | None]  # name, bases, qualities


class Outcome(NamedTuple):
    rows: list[Row]
    problem: str | None  # None: the file was read whole, and every record is good


DNAIO = """
import io, json, struct, sys, dnaio
while head := sys.stdin.buffer.read(5):
    kind, length = struct.unpack("<BI", head)
    data, rows, problem = sys.stdin.buffer.read(length), [], None
    try:
        with dnaio.open(io.BytesIO(data), fileformat="fastq" if kind else "fasta") as file:
            for it in file:
                rows.append([it.name, it.sequence, it.qualities])
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    print(json.dumps([rows, problem]), flush=True)
"""

OURS_ALONE_REFUSES = (
    r"is '.*', (not a nucleotide code|a gap or|a stop or)|not Phred\+33",  # letters and qualities that mean nothing here
    r"interleaved|is SAM|is a table|compressed|is gzip",
    r"is empty|holds only blank lines|lines that end in CR alone",  # for the others, no reads at all, or one long line
    r"the '\+' line names|FASTA of the old kind",
    r"the header holds CR",  # for dnaio, the end of the header's line in FASTA; for kseq, a blank
    r"the file ends within the record",  # a FASTA header that ends the file: for the others, a read without bases
    r"expected '>' as the first character",
)
"""What another parser reads, and is refused or malformed here."""

DNAIO_ALONE_REFUSES = (
    r"ASCII|Unicode",  # names
    r"[Aa]t line \d+: Line expected to start with '[@+]'|Expected '@'|FASTQ format|Sequence descriptions don't match",
    r"Premature end of file|Length of sequence and qualities differ|FASTA|first line of file|must start|>",
)
"""Blank lines, a byte order mark, comments behind '+': read here, refused by dnaio, which says so in these words."""


def ours(path: Path, kind: str) -> Outcome:
    rows: list[Row] = []
    problem = None
    try:
        reader = extension.open_reader(path, kind, 10**6)
        while records := extension.records(reader, 1000):
            for record in records:
                problem = problem or record.problem
                if record.problem is None:
                    rows.append((record.name, record.seq, record.qual))
    except InputError as error:
        return Outcome(rows, problem or str(error))
    return Outcome(rows, problem)


def by_pysam(path: Path) -> Outcome:
    rows: list[Row] = []
    try:
        with pysam.FastxFile(str(path)) as file:
            for it in file:
                # kseq keeps the CR of an empty line, and has no qualities for a read without bases.
                seq, qual = ((text or "").replace("\r", "") for text in (it.sequence, it.quality))
                rows.append((named(it.name or ""), seq.upper(), qual if path.suffix == ".fastq" else None))
    except (ValueError, OSError) as error:
        return Outcome(rows, f"{type(error).__name__}: {error}")
    return Outcome(rows, None)


@pytest.fixture
def dnaio() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([str(PYTHON.absolute()), "-c", DNAIO], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def by_dnaio(process: subprocess.Popen[bytes], data: bytes, kind: str) -> Outcome:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(struct.pack("<BI", kind == "fastq", len(data)) + data)
    process.stdin.flush()
    rows, problem = json.loads(process.stdout.readline())
    return Outcome([(named(name), seq.upper(), qual) for name, seq, qual in rows], problem)


def named(header: str) -> str:
    """As a name stands in a row."""
    word = re.split(r"[ \t\n\f\r]", header)[0]
    return "".join("\ufffd" if ord(char) < 32 or 127 <= ord(char) < 160 else char for char in word)[:200]


PIECES = [
    b"\n",
    b"\r\n",
    b"\n\n",
    b"@",
    b">",
    b"+",
    b"\n+\n",
    b"\n@",
    b"\n>",
    b" ",
    b"\t",
    b"/1",
    b"/2",
    b"N",
    b"acgt",
    b"-",
    b";",
    b"\xc3\xa9",
    b"\0",
]
PIECES += [b"IIII", b"@r\nAC\n+\nII\n", b">r\nAC\n", b"\xef\xbb\xbf"]


def made(rng: random.Random, kind: str) -> bytes:
    """A file that is good but for up to three places."""
    records = []
    end = rng.choice([b"\n", b"\n", b"\r\n"])
    for number in range(rng.randrange(6)):
        seq = bytes(rng.choices(b"ACGTNacgt", k=rng.choice([0, 1, 4, 30, 90])))
        name = b"r%d" % number + rng.choice([b"", b" a comment", b"/1", b"\tx"])
        if kind == "fastq":
            lines = [b"@" + name, seq, b"+" + rng.choice([b"", b"", name]), bytes(rng.choices(b"!+@>IJ~", k=len(seq)))]
        else:
            width = rng.choice([200, 20])
            lines = [b">" + name, *(seq[at : at + width] for at in range(0, len(seq), width))]
        records.append(end.join(lines) + end)
    data = b"".join(records)
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data = data[:at]
            case 1:
                data = data[:at] + data[at + rng.randrange(1, 6) :]
            case _:
                data = data[:at] + rng.choice(PIECES) + data[at:]
    return data


@pytest.mark.parametrize("kind", ["fasta", "fastq"])
def test_three_parsers_agree(kind: str, tmp_path: Path, dnaio: subprocess.Popen[bytes]) -> None:
    rng, path, seen = random.Random(kind), tmp_path / f"reads.{kind}", Counter[str]()
    for number in range(CASES // 2):
        data = made(rng, kind)
        path.write_bytes(data)
        mine, strict, lenient = ours(path, kind), by_dnaio(dnaio, data, kind), by_pysam(path)
        told = (number, data, mine, strict, lenient)
        if mine.problem is None:
            seen["read"] += 1
            if strict.problem is None:
                assert strict.rows == mine.rows, told
            else:
                assert matches(DNAIO_ALONE_REFUSES, strict.problem), told
            if lenient.problem is None and b"\0" not in data:  # it ends a name there
                assert lenient.rows == mine.rows, told
        else:
            seen["refused"] += 1
            if strict.problem is None:
                seen["refused here alone"] += 1
                assert matches(OURS_ALONE_REFUSES, mine.problem), told
    print(kind, dict(seen))
    assert min(seen.values()) > CASES // 100


def matches(patterns: tuple[str, ...], text: str) -> bool:
    return any(re.search(pattern, text) for pattern in patterns)
