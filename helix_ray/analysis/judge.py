"""Calls checked against the sequence that they speak of, then brought to normal form."""

from __future__ import annotations

from collections.abc import Iterable

from helix_ray.analysis.answers import RawCall
from helix_ray.analysis.completion import printable
from helix_ray.scoring.variants import JudgedCall, collide, footprint, normalise, variant_type

_BASES = frozenset("ACGT")
_SHOWN = 120


def judge_calls(calls: Iterable[RawCall], ref_seq: str) -> list[JudgedCall]:
    """One judged call per call, in the same order.

    ``ref_mismatch`` is the measure of hallucination: the asserted base is not there. Of calls that repeat or overlap each
    other in normal form the first one stands.
    """
    judged: list[JudgedCall] = []
    kept: dict[tuple[int, str, str], tuple[int, int]] = {}
    for pos, ref, alt, confidence in calls:
        outcome, reason = _fault(pos, ref, alt, ref_seq)
        if outcome == "bad_base":
            judged.append(JudgedCall(pos, printable(ref, _SHOWN), printable(alt, _SHOWN), confidence, outcome, None, reason))
            continue
        kind = variant_type(ref, alt)
        if outcome is not None:
            judged.append(JudgedCall(pos, ref, alt, confidence, outcome, kind, reason))
            continue
        key = normalise(pos, ref, alt, ref_seq)
        if key in kept:
            judged.append(JudgedCall(*key, confidence, "duplicate", kind, "the same variant was called before"))
            continue
        span = footprint(*key)
        if any(collide(span, other) for other in kept.values()):
            judged.append(JudgedCall(*key, confidence, "overlap", kind, "it cannot be applied together with an earlier call"))
            continue
        kept[key] = span
        judged.append(JudgedCall(*key, confidence, "ok", kind))
    return judged


def _fault(pos: int, ref: str, alt: str, window: str) -> tuple[str | None, str | None]:
    if not ref or not alt or not _BASES.issuperset(ref) or not _BASES.issuperset(alt):
        return "bad_base", "alleles are one or more of A, C, G, T"
    end = pos - 1 + len(ref)
    if pos < 1 or end > len(window):
        return "out_of_range", f"the window has positions 1 to {len(window)}"
    if not window.startswith(ref, pos - 1):
        return "ref_mismatch", f"the window has {printable(window[pos - 1 : end], _SHOWN)} there"
    if ref == alt:
        return "ref_equals_alt", "ref and alt are the same"
    return None, None
