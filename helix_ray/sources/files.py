"""Input files: which can be used, their checksums, and how a change is seen."""

from __future__ import annotations

import hashlib
import re
import stat
from contextlib import suppress
from pathlib import Path

from helix_ray.config import ONE_FILE
from helix_ray.errors import InputError


def regular_file(path: Path) -> Path:
    """``path``, if it is a regular file and not empty. Does not open it: opening a pipe would wait for its writer."""
    try:
        facts = path.stat()
    except OSError as error:
        raise InputError(f"{path}: {_cannot_open(path, error)}") from None
    if stat.S_ISDIR(facts.st_mode):
        raise InputError(f"{path}: is a directory; name one file")
    if not stat.S_ISREG(facts.st_mode):
        kind = "a pipe" if stat.S_ISFIFO(facts.st_mode) else "a socket" if stat.S_ISSOCK(facts.st_mode) else "a device"
        raise InputError(f"{path}: is {kind}; it is read more than once, so a regular file is needed: write the data to one")
    if facts.st_size == 0:
        raise InputError(f"{path}: is empty")
    return path


def _cannot_open(path: Path, error: OSError) -> str:
    """The messages of `files/input.rs`, and advice where a path looks like several."""
    if isinstance(error, PermissionError):
        return "cannot be read: permission denied; chmod it, or run as its owner"
    if not isinstance(error, FileNotFoundError):
        return f"cannot be read: {error.strerror}"
    if path.is_symlink():
        return "is a symbolic link to a file that does not exist"
    if str(path) == "-":
        return "standard input is read by `helix run` alone, as source.path; name a file"
    parts = [Path(part) for part in re.split(r"[,;:\s]+", str(path)) if part]
    several = False
    with suppress(OSError):  # a part that cannot be looked at names no file
        several = len(parts) > 1 and all(part.exists() for part in parts)
    if several:
        return f"names {len(parts)} files, but a run reads one; {ONE_FILE}"
    if re.search(r"[*?\[]", str(path)):
        return "no such file; patterns are not expanded: name one file"
    return "no such file"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as sha256sum prints it; takes about a second per gigabyte."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: {_cannot_open(path, error)}") from None


def checksum_of(path: Path, reference: Path | None) -> str:
    """Of the reads or, when there is a reference, of both checksums."""
    reads = sha256_of(regular_file(path))
    if reference is None:
        return reads
    return hashlib.sha256(f"{reads}\n{sha256_of(regular_file(reference))}\n".encode()).hexdigest()


def stamp(path: Path) -> tuple[int, int, int]:
    """Inode, size and time of change in nanoseconds: equal as long as the file is not changed."""
    facts = regular_file(path).stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
