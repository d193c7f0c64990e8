"""Answers on disk until the database has them: what a process received outlives it, also while the database is away.

Each process has one file under ``HELIX_HOME/spool/RUN_ID``, locked as long as it lives. A file whose owner died is replayed by the
send check, before the next request goes on record. ``write`` without fsync: a process that dies loses no byte that was written.
A node that dies loses what its database has not committed.

record: length (4 bytes), CRC-32 of what follows (4 bytes), a line of JSON, the body as it came
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from helix_ray.records import Receipt

MAX_BYTES = 64 * 1024 * 1024
"""Of one file. Requests stop a second after the database went away, so there are never more answers than requests in flight."""

_HEADER = struct.Struct(">II")
_log = logging.getLogger(__name__)


def spool_folder(home: Path, run_id: str) -> Path:
    return home / "spool" / run_id


def encoded(receipt: Receipt) -> bytes:
    head = [receipt.call_id, receipt.read_indices, receipt.arrived_at.isoformat(), receipt.status]
    record = json.dumps(head, separators=(",", ":")).encode() + b"\n" + receipt.body
    return _HEADER.pack(len(record), zlib.crc32(record)) + record


def decoded(data: bytes) -> tuple[list[Receipt], int]:
    """The whole records, and how many bytes they take; what follows those was cut off or damaged."""
    receipts: list[Receipt] = []
    at = 0
    while at + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, at)
        record = data[at + _HEADER.size : at + _HEADER.size + length]
        if len(record) < length or zlib.crc32(record) != checksum:
            break
        try:
            head, _, body = record.partition(b"\n")
            call_id, read_indices, arrived_at, status = json.loads(head)
            receipts.append(Receipt(call_id, read_indices, datetime.fromisoformat(arrived_at), status, body))
        except (ValueError, TypeError):
            break
        at += _HEADER.size + length
    return receipts, at


class Spool:
    """The file of this process. Nothing is made before the first answer. A disk that is full costs the protection, not the answer."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._descriptor: int | None = None
        self._pending: set[str] = set()
        self._size = 0
        self._closing = False

    def keep(self, receipt: Receipt) -> None:
        record = encoded(receipt)
        if self._size + len(record) > self._max_bytes:
            _log.warning("%s is full: the answer to request %s is kept in memory only", self._path, receipt.call_id)
            return
        try:
            if self._descriptor is None:
                self._descriptor = self._open()
            if os.write(self._descriptor, record) < len(record):  # the disk is full: no record may follow half of one
                os.ftruncate(self._descriptor, self._size)
                return
        except OSError as error:
            _log.warning("%s cannot be written (%s): the answer to request %s is kept in memory only", self._path, error, receipt.call_id)
            return
        self._size += len(record)
        self._pending.add(receipt.call_id)

    def forget(self, call_ids: Iterable[str]) -> None:
        """The database has these."""
        self._pending.difference_update(call_ids)
        if self._pending or self._descriptor is None:
            return
        if self._closing:
            self._remove(self._descriptor)
        elif self._size:
            os.ftruncate(self._descriptor, 0)
            self._size = 0

    def close(self) -> None:
        """Nothing more will come: the file goes as soon as the database has what is in it. Safe twice."""
        self._closing = True
        self.forget(())

    def _remove(self, descriptor: int) -> None:
        self._descriptor = None
        self._path.unlink(missing_ok=True)
        with suppress(OSError):  # others still have theirs
            self._path.parent.rmdir()
        os.close(descriptor)

    def _open(self) -> int:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return descriptor


class Orphan(NamedTuple):
    """A file whose owner died."""

    path: Path
    receipts: list[Receipt]


def orphans(folder: Path) -> list[Orphan]:
    """Every file with answers whose owner is dead, as good as it can be read. They stay until `discard`."""
    found: list[Orphan] = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.stat().st_size and (receipts := _abandoned(Path(entry.path))) is not None:
                    found.append(Orphan(Path(entry.path), receipts))
    return found


def discard(replayed: Iterable[Orphan]) -> None:
    """Remove the files of answers that the database has now."""
    for orphan in replayed:
        orphan.path.unlink(missing_ok=True)


def _abandoned(path: Path) -> list[Receipt] | None:
    """None: its owner lives."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        data = file.read()
    receipts, whole = decoded(data)
    if whole < len(data):
        _log.warning("%s is damaged after %d answers: its last %d bytes are cut off", path, len(receipts), len(data) - whole)
    return receipts
