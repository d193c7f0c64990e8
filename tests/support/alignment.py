"""The extension's aligner for many pairs at once, with its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from helix_ray.native import rust


class Call(NamedTuple):
    """A difference in VCF form."""

    pos: int  # 1-based in the window
    ref: str
    alt: str
    type: str  # SNV | MNV | INS | DEL | DELINS


class Alignment(NamedTuple):
    score: int  # cost of the optimal alignment, at least 0; at 0 nothing differs but Ns
    calls: list[Call]  # sorted, without overlap; applied to the window they give the read, but for its Ns


def align(ref_seqs: Sequence[str], seqs: Sequence[str]) -> list[Alignment]:
    """Each read against its window. ValueError: columns of different lengths, or anything but upper-case IUPAC codes."""
    scores, calls = rust.align(list(ref_seqs), list(seqs))
    return [Alignment(score, [Call(*call) for call in found]) for score, found in zip(scores, calls, strict=True)]
