"""How a read and its window are printed. A layout is a function of the two sequences, without the line of the id."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

Layout = Callable[[str, str], str]

GROUP = 10


def raw(seq: str) -> str:
    """``ACGTACGTACGT``."""
    return seq


def spaced(seq: str) -> str:
    """``A C G T``: one token a base."""
    return " ".join(seq)


def grouped10(seq: str) -> str:
    """``ACGTACGTAC GT``."""
    return " ".join(_groups(seq))


def indexed10(seq: str) -> str:
    """``1:ACGTACGTAC 11:GT``: models lose count of bare bases, indexed groups keep their place."""
    return " ".join(_indexed(seq))


def apart(show: Callable[[str], str]) -> Layout:
    """The window, then the read, each shown by ``show`` under a heading that tells its length."""
    return lambda ref_seq, seq: f"reference ({len(ref_seq)} bases):\n{show(ref_seq)}\nread ({len(seq)} bases):\n{show(seq)}"


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
