"""Rows of reads that are not analysed: they only carry their ending and its reason to the ledger."""

from __future__ import annotations

from helix_ray.records import Disposition, Read


def unanalysed(
    read_index: int,
    read_id: str,
    disposition: Disposition,
    reason: str,
    *,
    seq: str = "",
    qual: str | None = None,
    strata: dict[str, float] | None = None,
) -> Read:
    """A read without a window."""
    return Read(read_index, read_id, "", 0, "+", "", seq, qual, None, None, strata, disposition, reason)
