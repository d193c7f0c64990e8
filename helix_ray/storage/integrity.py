"""Whether a read arrived as it was made: its checksum, taken at the source, is taken again before its row is written.

Between the two lie serialisation, two actors and, in a large run, hours. A read that was damaged on the way would be scored
against a truth that is not its own, and nobody would ever know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from helix_ray.records import Read, ReadResult
from helix_ray.storage.escaping import MAX_TEXT_CHARS, buried

CORRUPTED = "corrupted"
"""The error_kind of a read that is not what its source made."""

Checksum = Callable[[str, str, list[tuple[int, str, str]] | None], int]
"""Of ref_seq, seq and truth (pos, ref, alt; None: unknown): `helix_ray.native.rust.checksum`."""


def verified(results: Sequence[ReadResult], checksum: Checksum) -> list[ReadResult]:
    """The results in their order, with a dead letter in place of each whose read is damaged. An answer that was paid for stays in it.

    A read whose source took no checksum (None) passes.
    """
    return [result if _is_whole(result.read, checksum) else _corrupted(result, checksum) for result in results]


def _is_whole(read: Read, checksum: Checksum) -> bool:
    return read.checksum is None or _taken_again(read, checksum) == read.checksum


def _taken_again(read: Read, checksum: Checksum) -> int | None:
    """None: the damage is such that there is none."""
    truth = None if read.truth is None else [variant[:3] for variant in read.truth]
    try:
        return checksum(read.ref_seq, read.seq, truth)
    except (UnicodeEncodeError, OverflowError):  # a lone surrogate, a position that is none
        return None


def _corrupted(result: ReadResult, checksum: Checksum) -> ReadResult:
    found = _taken_again(result.read, checksum)
    reason = (
        f"checksum {result.read.checksum} at the source, {'none' if found is None else found} at the sink: "
        "the read was damaged on its way, and nothing that was found in it counts"
    )
    if result.error_kind is not None:
        reason = f"{reason}; it had ended as {result.error_kind}: {result.error}"
    return buried(result, CORRUPTED, reason, kept_chars=MAX_TEXT_CHARS)
