"""Finds the read and its reference window in a prompt.

The format, in the last user message::

    id: OPAQUE
    reference (150 bases):
    1:ACGTACGTAC 11:ACGT...
    read (149 bases):
    1:ACGTACGTAC 11:ACGT...

Everything is checked, the indices too: a prompt that miscounts its bases would mislead a real model as well.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_PAIR = re.compile(
    r"^id: (\S{1,200})[ \t]*\n"
    r"reference \((\d{1,6}) bases\):\n([0-9:ACGTN ]+)\n"
    r"read \((\d{1,6}) bases\):\n([0-9:ACGTN ]+)$",
    re.MULTILINE,
)
_INDEX_CHARACTERS = b"0123456789: "


class Pair(NamedTuple):
    opaque_id: str
    ref: str
    read: str


def parse_pair(text: str) -> Pair | None:
    """The pair, or None when the text does not hold exactly one in the format above."""
    found = _PAIR.search(text)
    if found is None or text.count("\nread (") != 1:
        return None
    opaque_id, ref_size, ref_line, read_size, read_line = found.groups()
    ref, read = _bases(ref_line, int(ref_size)), _bases(read_line, int(read_size))
    return None if ref is None or read is None else Pair(opaque_id, ref, read)


def _bases(line: str, size: int) -> str | None:
    bases = line.encode().translate(None, _INDEX_CHARACTERS).decode()
    if len(bases) != size or size == 0:
        return None
    indexed = " ".join([f"{start + 1}:{bases[start : start + 10]}" for start in range(0, size, 10)])
    return bases if indexed == line.rstrip() else None
