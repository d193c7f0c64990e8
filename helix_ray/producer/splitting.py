"""Cuts batches to what one call between actors may carry."""

from __future__ import annotations

from helix_ray.records import ReadBatch, Variant

MAX_BYTES = 64 * 1024
"""Ray sends an argument inline below 100 KiB. A larger one goes through the object store at twice the cost."""
_BATCH_BYTES = 1024  # class names and list frames of a pickled batch
_ROW_BYTES = 128  # numbers, references and string frames of a row
_VARIANT_BYTES = 64


def split(batch: ReadBatch, max_bytes: int = MAX_BYTES) -> list[ReadBatch]:
    """``batch`` in order, in as few parts as keep each below ``max_bytes`` when pickled; a read above that stands alone."""
    parts: list[ReadBatch] = []
    start, used = 0, _BATCH_BYTES
    for row in range(batch.size):
        size = _row_bytes(batch, row)
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


def _row_bytes(batch: ReadBatch, row: int) -> int:
    """An upper bound on what the row adds to the pickle."""
    sequences = len(batch.ref_seq[row]) + len(batch.seq[row]) + len(batch.qual[row] or "")
    names = sum(_utf8(text) for text in (batch.read_id[row], batch.contig[row], batch.reason[row] or "", batch.source[row]))
    variants = sum(map(_variant_bytes, (*(batch.truth[row] or ()), *(batch.errors[row] or ()))))
    strata = sum(len(name) + 16 for name in batch.strata[row] or ())
    return _ROW_BYTES + sequences + names + variants + strata


def _variant_bytes(variant: Variant) -> int:
    alleles = len(variant.ref) + len(variant.alt) + _utf8(variant.spdi or "")
    return _VARIANT_BYTES + alleles + len(variant.type) + len(variant.event) + len(variant.titv or "")


def _utf8(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
