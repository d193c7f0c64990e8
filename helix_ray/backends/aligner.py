"""The deterministic baseline: an exact alignment of a read with its window. No API, no cost.

The costs are a match 0, a mismatch 4, a gap of n bases 6 + 2n (WFA2's defaults); the alignment is optimal under them, and of
several optimal ones it is always the same. An N is a base that was not read: it differs from nothing. How differences become
calls is documented in ``rust_gen/src/align/calls.rs``.
"""

from __future__ import annotations

from helix_ray.records import Read
from helix_ray.scoring.variants import JudgedCall, differences


def align_calls(ref_seq: str, seq: str) -> list[tuple[int, str, str]]:
    """(pos, ref, alt) of every difference of one read, in VCF form: 1-based in the window, sorted, without overlap, left-aligned and
    parsimonious wherever that leaves a call apart from its neighbours. Applied to the window they give the read, but for its Ns.

    An empty window or read has no calls: there is nothing to anchor a variant on. ValueError: anything but upper-case IUPAC codes.
    StartError: the extension is not built.
    """
    return [(pos, ref, alt) for pos, ref, alt, _ in differences(ref_seq, seq)]


def aligner_calls(read: Read) -> list[JudgedCall]:
    """The baseline, beside every answer and every failure to get one: microseconds, no request and no money. With truth it is the
    ceiling that any model is measured against, without it the only other opinion.

    None of a read with letters that no source lets pass: it was damaged on its way, which the sink finds by its checksum.
    """
    try:
        return [JudgedCall(pos, ref, alt, None, "ok", kind) for pos, ref, alt, kind in differences(read.ref_seq, read.seq)]
    except ValueError:
        return []
