"""A read under its window with gaps, from the two sequences alone. It gives the answer away: a task of its own."""

from __future__ import annotations

from helix_ray.native import rust

GAP = "-"


def aligned(ref_seq: str, seq: str) -> str:
    """The layout of ``assisted_aligned``: both rows are equally long."""
    return "\n".join((f"aligned reference and read ({len(ref_seq)} and {len(seq)} bases):", *gapped(ref_seq, seq)))


def gapped(ref_seq: str, seq: str) -> tuple[str, str]:
    """Both sequences with gaps, by the alignment that also makes the baseline's calls.

    Sequences that no alignment is made of (empty ones, letters that are no bases) are padded at their ends.
    """
    ref_row: list[str] = []
    read_row: list[str] = []
    ref_at = read_at = 0
    for pos, ref, alt, _ in _differences(ref_seq, seq):
        same = pos - 1 - ref_at
        width = max(len(ref), len(alt))
        # An indel at the window's first base is anchored on the base after it: its gap stands on the left.
        justify = str.rjust if ref[0] != alt[0] and ref[-1] == alt[-1] else str.ljust
        ref_row += [ref_seq[ref_at : ref_at + same], justify(ref, width, GAP)]
        read_row += [seq[read_at : read_at + same], justify(seq[read_at + same : read_at + same + len(alt)], width, GAP)]
        ref_at, read_at = ref_at + same + len(ref), read_at + same + len(alt)
    rest = max(len(ref_seq) - ref_at, len(seq) - read_at)
    return "".join([*ref_row, ref_seq[ref_at:].ljust(rest, GAP)]), "".join([*read_row, seq[read_at:].ljust(rest, GAP)])


def _differences(ref_seq: str, seq: str) -> list[tuple[int, str, str, str]]:
    if ref_seq == seq:
        return []
    try:
        _, (calls,) = rust.align([ref_seq], [seq])
    except ValueError:
        return []
    return calls
