"""Finds the reads and their reference windows in a prompt.

One read in the last user message, reads of a packed request one blank line apart::

    id: OPAQUE
    reference (150 bases):
    1:ACGTACGTAC 11:ACGT...
    read (149 bases):
    1:ACGTACGTAC 11:ACGT...

The two sequences may also be bare, in groups of ten, or spaced base by base. Two more layouts show them together: in
alternating lines ``ref 1:ACGTACGTAC`` and ``read 1:ACGTACGTAC`` below ``reference and read (150 and 149 bases):``, or as
one aligned pair of lines, gaps as ``-``, below ``aligned reference and read (150 and 149 bases):``.

Everything is checked, lengths and indices too: a prompt that miscounts its bases would mislead a real model as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

_ID = r"^id: (\S{1,200})[ \t]*\n"
_SIZES = r"\((\d{1,6}) and (\d{1,6}) bases\):\n"
_INDEX_CHARACTERS = b"0123456789: "
_AS_N = bytes.maketrans(b"ACGT", b"NNNN")


class Pair(NamedTuple):
    opaque_id: str
    ref: str
    read: str


class _Layout(NamedTuple):
    block: re.Pattern[str]  # one read
    headings: int  # lines ending in "bases):" in one block
    pair: Callable[[re.Match[str]], Pair | None]


def parse_pairs(text: str) -> list[Pair]:
    """The reads in the order in which they stand; empty unless all that looks like a read is one, in one format."""
    layout = _INTERLEAVED if "\nreference and read (" in text else _ALIGNED if "\naligned reference and read (" in text else _APART
    pairs: list[Pair] = []
    end = 0
    for found in layout.block.finditer(text):
        pair = layout.pair(found)
        if pair is None or (pairs and text[end : found.start()] != "\n\n"):
            return []
        pairs.append(pair)
        end = found.end()
    if text.count(" bases):\n") != layout.headings * len(pairs):
        return []
    return pairs if len(pairs) < 2 or len({pair.opaque_id for pair in pairs}) == len(pairs) else []


def _apart(found: re.Match[str]) -> Pair | None:
    opaque_id, ref_size, ref_line, read_size, read_line = found.groups()
    ref_bytes, read_bytes = ref_line.encode(), read_line.encode()
    ref, read = ref_bytes.translate(None, _INDEX_CHARACTERS).decode(), read_bytes.translate(None, _INDEX_CHARACTERS).decode()
    pair = _sized(opaque_id, ref, ref_size, read, read_size)
    if pair is None:
        return None
    shapes = (ref_bytes.translate(_AS_N), read_bytes.translate(_AS_N))
    return pair if shapes in zip(_ways(len(ref)), _ways(len(read)), strict=True) else None


@lru_cache(maxsize=256)
def _ways(size: int) -> tuple[bytes, ...]:
    """The ways of printing a sequence of ``size`` bases, every base as N: bare, indexed, grouped, spaced."""
    groups = ["N" * min(10, size - start) for start in range(0, size, 10)]
    indexed = [f"{10 * number + 1}:{group}" for number, group in enumerate(groups)]
    return tuple(way.encode() for way in ("N" * size, " ".join(indexed), " ".join(groups), " ".join("N" * size)))


def _interleaved(found: re.Match[str]) -> Pair | None:
    opaque_id, ref_size, read_size, block = found.groups()
    lines = block.split("\n")
    ref, read = ("".join([line.partition(":")[2] for line in lines if line.startswith(name)]) for name in ("ref", "read"))
    pair = _sized(opaque_id, ref, ref_size, read, read_size)
    return pair if pair is not None and block.encode().translate(_AS_N) == _alternating(len(ref), len(read)) else None


@lru_cache(maxsize=256)
def _alternating(ref_size: int, read_size: int) -> bytes:
    """The alternating lines, every base as N."""
    lines = [
        f"{name} {start + 1}:{'N' * min(10, size - start)}"
        for start in range(0, max(ref_size, read_size), 10)
        for name, size in (("ref", ref_size), ("read", read_size))
        if start < size
    ]
    return "\n".join(lines).encode()


def _aligned(found: re.Match[str]) -> Pair | None:
    opaque_id, ref_size, read_size, ref_line, read_line = found.groups()
    if len(ref_line) != len(read_line) or ("-", "-") in zip(ref_line, read_line, strict=True):
        return None
    return _sized(opaque_id, ref_line.replace("-", ""), ref_size, read_line.replace("-", ""), read_size)


def _sized(opaque_id: str, ref: str, ref_size: str, read: str, read_size: str) -> Pair | None:
    if not ref or not read or len(ref) != int(ref_size) or len(read) != int(read_size):
        return None
    return Pair(opaque_id, ref, read)


_LINE = r"\n([0-9:ACGTN ]+)"
_APART = _Layout(
    re.compile(_ID + r"reference \((\d{1,6}) bases\):" + _LINE + r"\nread \((\d{1,6}) bases\):" + _LINE + "$", re.MULTILINE), 2, _apart
)
_INTERLEAVED = _Layout(
    re.compile(_ID + "reference and read " + _SIZES + r"((?:ref|read) \d+:[ACGTN]+(?:\n(?:ref|read) \d+:[ACGTN]+)*)$", re.MULTILINE),
    1,
    _interleaved,
)
_ALIGNED = _Layout(re.compile(_ID + "aligned reference and read " + _SIZES + r"([ACGTN-]+)\n([ACGTN-]+)$", re.MULTILINE), 1, _aligned)
