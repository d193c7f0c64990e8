"""Cuts batches to what one call between actors may carry."""

from __future__ import annotations

from helix_ray.records import ReadBatch

MAX_BYTES = 64 * 1024
"""Ray sends an argument inline below 100 KiB. A larger one goes through the object store at twice the cost."""
_BATCH_BYTES = 1024  # class names and list frames of a pickled batch
_ROW_BYTES = 32  # its index and the frames of its bytes


def split(batch: ReadBatch, max_bytes: int = MAX_BYTES) -> list[ReadBatch]:
    """``batch`` in order, in as few parts as keep each below ``max_bytes`` when pickled; a read above that stands alone."""
    parts: list[ReadBatch] = []
    start, used = 0, _BATCH_BYTES
    for row, packed in enumerate(batch.packed):
        size = _ROW_BYTES + len(packed)
        if row > start and used + size > max_bytes:
            parts.append(rows(batch, start, row))
            start, used = row, _BATCH_BYTES
        used += size
    if start == 0:
        return [batch] if batch.size else []
    parts.append(rows(batch, start, batch.size))
    return parts


def rows(batch: ReadBatch, start: int, stop: int) -> ReadBatch:
    return ReadBatch._make(column[start:stop] for column in batch)
