"""A source that can only be read forward, asked for blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Protocol

from helix_ray.errors import InputError
from helix_ray.records import Read, ReadBatch
from helix_ray.sources.files import facts_of, stamp


class Cursor(Protocol):
    """A place in an open file, between two records."""

    def skip(self, count: int) -> int:
        """Passes over up to ``count`` records, malformed ones included; how many there were."""

    def read(self, count: int) -> list[Read]:
        """The next ``count`` records, fewer at the end. InputError: see the file's kind."""


class ForwardSource:
    """Blocks of a file. Going back opens the file again; it must not have changed meanwhile.

    Not for several threads at once.
    """

    def __init__(self, path: Path, reference: Path | None, batch_size: int, count: int | None, open_at_start: Callable[[], Cursor]) -> None:
        """``count``: no more reads than that, even when the file holds more."""
        self.total: int | None = None
        self._path = path
        self._reference = reference
        self._batch_size = batch_size
        self._count = count
        self._open_at_start = open_at_start
        self._stamp = stamp(path)
        self._cursor: Cursor | None = None
        self._at = 0  # records before the cursor

    @cached_property
    def checksum(self) -> str | None:
        """As `SourceFacts.checksum`; reads the files whole."""
        return facts_of(self._path, self._reference).checksum

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
        self._cursor = None  # after an error nobody knows where it stands: asked again, the file is opened again
        rows = cursor.read(wanted) if cursor is not None else []
        self._cursor = cursor
        self._at += len(rows)
        if len(rows) < wanted:
            self.total = self._at
        return ReadBatch.from_rows(rows) if rows else None

    def _cursor_at(self, start: int) -> Cursor | None:
        """The file's cursor moved to record ``start``; None when the file ends before."""
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
