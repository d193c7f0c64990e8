"""One read as a prompt knows it."""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class Ask(NamedTuple):
    opaque_id: str
    ref_seq: str  # the window
    seq: str  # the read, on the window's strand


def opaque_id(nonce: str, read_index: int) -> str:
    """An id that means nothing to anyone else: 16 hexadecimal digits, fixed by the run's nonce and the read's index."""
    return hashlib.blake2s(b"%d" % read_index, key=nonce.encode()[:32], digest_size=8).hexdigest()
