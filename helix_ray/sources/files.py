"""Input files: their checksums, and whether they stayed as they were."""

from __future__ import annotations

import hashlib
from pathlib import Path

from helix_ray.errors import InputError
from helix_ray.sources.source import SourceFacts


def regular_file(path: Path) -> Path:
    """``path``, if it is a readable file with something in it. Does not open pipes, which would wait for a writer."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory; name one file")
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"{path}: is a pipe or a device; reads are addressed by their number, so a regular file is needed")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if size == 0:
        raise InputError(f"{path}: is empty")
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as sha256sum prints it; takes about a second per gigabyte."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def facts_of(path: Path, reference: Path | None) -> SourceFacts:
    """Checksums of the reads and, when there is one, of the reference."""
    reads = sha256_of(regular_file(path))
    if reference is None:
        return SourceFacts(reads, reads)
    other = sha256_of(regular_file(reference))
    return SourceFacts(hashlib.sha256(f"{reads}\n{other}\n".encode()).hexdigest(), reads, other)


Stamp = tuple[int, int, int]


def stamp(path: Path) -> Stamp:
    """Inode, size and time of change in nanoseconds: equal as long as nobody touched the file."""
    facts = regular_file(path).stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
