"""The deterministic baseline: an exact alignment of a read with its window. No API, no cost.

The costs are a match 0, a mismatch 4, a gap of n bases 6 + 2n (WFA2's defaults); the alignment is optimal under them, and of
several optimal ones it is always the same. An N is a base that was not read: it differs from nothing. How differences become
calls is documented in ``rust_gen/src/align/calls.rs``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from helix_ray.native import rust
from helix_ray.records import Read
from helix_ray.scoring.variants import JudgedCall


class Call(NamedTuple):
    """A difference in VCF form: left-aligned and parsimonious wherever that leaves it apart from its neighbours."""

    pos: int  # 1-based in the window
    ref: str
    alt: str
    type: str  # SNV | MNV | INS | DEL | DELINS


class Alignment(NamedTuple):
    """What the baseline says of a read."""

    score: int  # cost of the optimal alignment, at least 0; at 0 nothing differs but Ns
    calls: list[Call]  # sorted, without overlap; applied to the window they give the read, but for its Ns


def align(ref_seqs: Sequence[str], seqs: Sequence[str]) -> list[Alignment]:
    """Each read against its window: microseconds a pair, while other threads run.

    An empty window or read has no calls: there is nothing to anchor a variant on. ValueError: columns of different lengths,
    or anything but upper-case IUPAC codes. StartError: the extension is not built.
    """
    scores, calls = rust.align(list(ref_seqs), list(seqs))
    return [Alignment(score, [Call(*call) for call in found]) for score, found in zip(scores, calls, strict=True)]


def align_calls(ref_seq: str, seq: str) -> list[tuple[int, str, str]]:
    """(pos, ref, alt) of every difference of one read; as `align`."""
    if ref_seq == seq:
        return []
    _, (calls,) = rust.align([ref_seq], [seq])
    return [(pos, ref, alt) for pos, ref, alt, _ in calls]


def aligner_calls(read: Read) -> list[JudgedCall]:
    """The baseline, beside every answer and every failure to get one: microseconds, no request and no money. With truth it is the
    ceiling that any model is measured against, without it the only other opinion.

    None of a read with letters that no source lets pass: it was damaged on its way, which is for the sink to say.
    """
    if read.ref_seq == read.seq:
        return []
    try:
        (found,) = align((read.ref_seq,), (read.seq,))
    except ValueError:
        return []
    return [JudgedCall(*call[:3], None, "ok", call.type) for call in found.calls]
