"""Rows of reads that are not analysed: they only carry their ending and its reason to the ledger."""

from __future__ import annotations

from helix_ray.records import Disposition, Read
from helix_ray.sources.extension import checksum


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
    """A read without a window. ``source`` is the kind of its file."""
    row = (read_index, read_id, "", 0, "+", "", seq, qual, None, None, strata, disposition, reason)
    return Read(*row, source=source, checksum=checksum("", seq))
