"""Reads that cannot be read where they are, copied to a file first: standard input, pipes, BAM and CRAM.

A run reads its file more than once: for its checksum, after a crash, when it is resumed. A copy is named by what it holds, so that the
same reads have the same copy.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from helix_ray.config import Config, SourceConfig, SourceKind
from helix_ray.errors import InputError

STDIN = "-"
CHUNK_BYTES = 1 << 20
SAID_EACH_BYTES = 1 << 28
MISSING_QUALITY = '"'  # Phred 1, as `samtools fastq` has it


def say(text: str) -> None:
    """To standard error: standard output may be redirected to where the reads come from."""
    print(text, file=sys.stderr, flush=True)


def is_stream(path: str | None) -> bool:
    """Whether it can be read once only."""
    if path is None or path == STDIN:
        return path == STDIN
    with suppress(OSError):
        return stat.S_ISFIFO(Path(path).expanduser().stat().st_mode)
    return False


def copied(config: Config, folder: Path, progress: Callable[[str], None] = say) -> Config:
    """The configuration; ``source.path`` is a copy in ``folder`` where one is needed.

    InputError: nothing comes, more comes than ``source.copy_limit_mb``, or the file cannot be read as BAM or CRAM.
    """
    source = config.source
    if source.path is None:
        return config
    path = given = Path(source.path).expanduser()
    if is_stream(source.path):
        path = _write(_stream(source.path), source, folder, "standard input" if source.path == STDIN else source.path, progress)
    if source.kind is SourceKind.FASTQ and _holds_alignments(path):
        path = _write(_sequenced(path, source.reference), source, folder, str(path), progress)
    return config if path == given else config.model_copy(update={"source": source.model_copy(update={"path": str(path)})})


def _stream(path: str) -> Iterator[bytes]:
    if path == STDIN and os.isatty(0):
        raise InputError("source.path: '-' is standard input, which is a terminal; pipe the reads in, or name a file")
    with open(0 if path == STDIN else Path(path).expanduser(), "rb", buffering=0, closefd=path != STDIN) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _write(chunks: Iterator[bytes], source: SourceConfig, folder: Path, what: str, progress: Callable[[str], None]) -> Path:
    progress(f"Copying {what} to {folder} ...")
    part, written, digest = folder / f".part-{os.getpid()}", 0, hashlib.sha256()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left_behind in folder.glob(".part-*"):  # by a process that was killed
            left_behind.unlink()
        with part.open("xb") as out:
            for chunk in chunks:
                before, written = written, written + len(chunk)
                if written > source.copy_limit_mb * 10**6:
                    allowed = f"more than source.copy_limit_mb allows, {source.copy_limit_mb:,} MB"
                    raise InputError(f"{what}: {allowed}; raise it, or write the reads to a FASTQ file and name that")
                out.write(chunk)
                digest.update(chunk)
                if before // SAID_EACH_BYTES < written // SAID_EACH_BYTES:
                    progress(f"Copied {written // 10**6:,} MB of {what} ...")
        if not written:
            raise InputError(f"{what}: is empty")
        return part.replace(folder / f"{digest.hexdigest()[:32]}.{source.kind}")
    except OSError as error:
        raise InputError(f"{what}: cannot be copied to {folder}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _holds_alignments(path: Path) -> bool:
    """BAM or CRAM. What cannot be read is none: its own check says why."""
    with suppress(OSError, EOFError, zlib.error):
        with path.open("rb") as file:
            head = file.read(4)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                head = file.read(4)
        return head in (b"BAM\x01", b"CRAM")
    return False


def _sequenced(path: Path, reference: str | None) -> Iterator[bytes]:
    """FASTQ of the reads as they were sequenced, by htslib."""
    import pysam  # noqa: PLC0415  (only files of these formats need it)

    pysam.set_verbosity(0)
    number = 0
    try:
        with _no_reference_from_elsewhere(), pysam.AlignmentFile(str(path), check_sq=False, reference_filename=reference) as file:
            for number, record in enumerate(file.fetch(until_eof=True), 1):
                if record.is_secondary or record.is_supplementary:
                    continue
                if record.is_paired:
                    raise InputError(
                        f"{path}: record {number}: '{record.query_name}' is one of two mates, but each read is analysed by itself; "
                        "take them out and name one file: samtools fastq -1 reads_1.fastq -2 reads_2.fastq reads.bam"
                    )
                seq, qualities = record.get_forward_sequence() or "", record.get_forward_qualities()
                qual = MISSING_QUALITY * len(seq) if qualities is None else bytes(q + 33 for q in qualities).decode("latin-1")
                yield f"@{record.query_name}\n{seq}\n+\n{qual}\n".encode()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: record {number + 1}: cannot be read as BAM or CRAM ({error}): the file is cut short or damaged, or it is CRAM "
            "of another reference than source.reference; copy it again, or name the right reference"
        ) from None


@contextmanager
def _no_reference_from_elsewhere() -> Iterator[None]:
    """Htslib may ask a server for a reference that it lacks."""
    before = os.environ.get("REF_PATH")
    os.environ["REF_PATH"] = os.devnull
    try:
        yield
    finally:
        if before is None:
            del os.environ["REF_PATH"]
        else:
            os.environ["REF_PATH"] = before
