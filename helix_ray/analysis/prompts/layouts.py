"""A read of a request, and how it and its window are printed: as plain sequences, in groups, in pairs or aligned.

A layout is a function of the two sequences, without the line of the id. ``aligned`` gives the answer away: a task of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import zip_longest
from typing import NamedTuple

from helix_ray.scoring.variants import differences

Layout = Callable[[str, str], str]

GROUP = 10
GAP = "-"


class Ask(NamedTuple):
    """One read as a prompt shows it."""

    opaque_id: str
    ref_seq: str  # the window
    seq: str  # the read, on the window's strand


def opaque_id(nonce: str, read_index: int) -> str:
    """An id without meaning outside the run: 16 hexadecimal digits, fixed by the run's nonce and the read's index."""
    return hashlib.blake2s(b"%d" % read_index, key=nonce.encode()[:32], digest_size=8).hexdigest()


def spaced(seq: str) -> str:
    """``A C G T``: one token a base."""
    return " ".join(seq)


def grouped10(seq: str) -> str:
    """``ACGTACGTAC GT``."""
    return " ".join(_groups(seq))


def indexed10(seq: str) -> str:
    """``1:ACGTACGTAC 11:GT``: models lose count in plain sequences."""
    return " ".join(_indexed(seq))


def apart(show: Callable[[str], str], show_read: Callable[[str], str] | None = None) -> Layout:
    """The window, then the read, each shown by ``show`` under a heading with its length; the read by ``show_read`` where it is given."""
    as_read = show_read or show
    return lambda ref_seq, seq: f"reference ({len(ref_seq)} bases):\n{show(ref_seq)}\nread ({len(seq)} bases):\n{as_read(seq)}"


def paired(ref_seq: str, seq: str) -> str:
    """Groups of window and read in turn, a line each; the longer of the two goes on alone."""
    lines = [f"reference and read ({len(ref_seq)} and {len(seq)} bases):"]
    for ref_group, read_group in zip_longest(_indexed(ref_seq), _indexed(seq)):
        lines += [f"ref {ref_group}"] if ref_group else []
        lines += [f"read {read_group}"] if read_group else []
    return "\n".join(lines)


def _groups(seq: str) -> list[str]:
    return [seq[start : start + GROUP] for start in range(0, len(seq), GROUP)]


def _indexed(seq: str) -> list[str]:
    return [f"{start + 1}:{seq[start : start + GROUP]}" for start in range(0, len(seq), GROUP)]


def aligned(ref_seq: str, seq: str) -> str:
    """The layout of ``assisted_aligned``: both rows are equally long."""
    return "\n".join((f"aligned reference and read ({len(ref_seq)} and {len(seq)} bases):", *gapped(ref_seq, seq)))


def gapped(ref_seq: str, seq: str) -> tuple[str, str]:
    """Both sequences with gaps, by the alignment that also makes the baseline's calls.

    Sequences that the aligner rejects (empty ones, letters that are no bases) are padded at their ends.
    """
    ref_row: list[str] = []
    read_row: list[str] = []
    ref_at = read_at = 0
    try:
        found = differences(ref_seq, seq)
    except ValueError:
        found = []
    for pos, ref, alt, _ in found:
        same = pos - 1 - ref_at
        width = max(len(ref), len(alt))
        # An indel at the window's first base is anchored on the base after it: its gap stands on the left.
        justify = str.rjust if ref[0] != alt[0] and ref[-1] == alt[-1] else str.ljust
        ref_row += [ref_seq[ref_at : ref_at + same], justify(ref, width, GAP)]
        read_row += [seq[read_at : read_at + same], justify(seq[read_at + same : read_at + same + len(alt)], width, GAP)]
        ref_at, read_at = ref_at + same + len(ref), read_at + same + len(alt)
    rest = max(len(ref_seq) - ref_at, len(seq) - read_at)
    return "".join([*ref_row, ref_seq[ref_at:].ljust(rest, GAP)]), "".join([*read_row, seq[read_at:].ljust(rest, GAP)])
