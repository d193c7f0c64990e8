"""What every source offers: reads by index. And the blocks of a file that can only be read forward."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from helix_ray.errors import InputError
from helix_ray.records import Disposition, Read, ReadBatch
from helix_ray.sources import extension
from helix_ray.sources.files import stamp


class Source(Protocol):
    """Reads, addressed by index: the same index is the same read, at every call and in every process.

    Block b holds the reads b*batch_size up to (b+1)*batch_size; the last block may hold fewer.
    """

    total: int | None
    """Number of reads, once it is known. A file's is not known before its end was reached; endless: None."""

    def block(self, index: int) -> ReadBatch | None:
        """Block ``index``; None past the end. InputError when the file cannot be read on."""


class Cursor(Protocol):
    """A place in an open file, between two records."""

    def skip(self, count: int) -> int:
        """Pass over up to ``count`` records, malformed ones included; returns their number."""

    def read(self, count: int) -> list[Read]:
        """The next ``count`` records, fewer at the end. InputError: see the file's kind."""


class ForwardSource:
    """Blocks of a file. Going back opens the file again; InputError if it has changed. Not thread-safe."""

    def __init__(self, path: Path, batch_size: int, count: int | None, open_at_start: Callable[[], Cursor]) -> None:
        """``count``: no more reads than that, even when the file holds more. InputError: no regular file."""
        self.total: int | None = None
        self._path = path
        self._batch_size = batch_size
        self._count = count
        self._open_at_start = open_at_start
        self._stamp = stamp(path)
        self._cursor: Cursor | None = None
        self._at = 0  # records before the cursor

    def block(self, index: int) -> ReadBatch | None:
        """Block ``index``; cheap in ascending order."""
        start = index * self._batch_size
        wanted = self._batch_size if self._count is None else min(self._batch_size, self._count - start)
        if wanted <= 0:
            self.total = self._count if self.total is None else self.total
            return None
        if self.total is not None and start >= self.total:
            return None
        cursor = self._cursor_at(start)
        self._cursor = None  # after an error its place is not known: the next call opens the file again
        rows = cursor.read(wanted) if cursor is not None else []
        self._cursor = cursor
        self._at += len(rows)
        if len(rows) < wanted:
            self.total = self._at
        return ReadBatch.from_rows(rows) if rows else None

    def _cursor_at(self, start: int) -> Cursor | None:
        """The cursor at record ``start``; None when the file ends before."""
        if self._cursor is None or start < self._at:
            if stamp(self._path) != self._stamp:
                raise InputError(f"{self._path}: changed while the run was reading it; restore the file and resume")
            self._cursor, self._at = self._open_at_start(), 0
        if start > self._at:
            self._at += self._cursor.skip(start - self._at)
        if self._at < start:
            self.total = self._at
            return None
        return self._cursor


def malformed(path: Path, ordinal: int, line: int, problem: str) -> InputError:
    """The error for a malformed record with ``on_error: stop``. ``ordinal`` counts from 0."""
    return InputError(
        f"{path}: record {ordinal + 1} (line {line}): {problem}; mend the file, or set source.on_error: skip "
        "to give such records a row of their own and go on"
    )


def unanalysed(
    read_index: int,
    read_id: str,
    disposition: Disposition,
    reason: str,
    *,
    source: str,
    seq: str = "",
    qual: str | None = None,
    strata: dict[str, float] | None = None,
) -> Read:
    """A read that is not analysed: it only carries its ending and the reason to the ledger. ``source``: the kind of its file."""
    row = (read_index, read_id, "", 0, "+", "", seq, qual, None, None, strata, disposition, reason)
    return Read(*row, source=source, checksum=extension.checksum("", seq))
