"""Calls against truth by exact alleles: GA4GH's method 2, allele match without genotype (Krusche 2019, PMC6699627)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from helix_ray.records import ScoredVariant, Variant
from helix_ray.scoring.variants import JudgedCall


def score(truth: Sequence[Variant] | None, calls: Iterable[JudgedCall]) -> list[ScoredVariant]:
    """The rows of ``variant_calls`` for one read: truths first, then the calls.

    With truth, a truth is TP or FN and a call TP or FP; an invalid call is FP, a repeated one is not counted again (match
    None). Without truth (None) nothing is matched. Both sides must be in normal form. A read that got no valid answer is
    scored with no calls: its whole truth is FN, as benchmarks treat a no-call.
    """
    if truth is None:
        return [_call_row(call, None) for call in calls]
    calls = list(calls)
    if not truth and not calls:
        return []
    known = {variant[:3] for variant in truth}
    found = {call[:3] for call in calls if call.outcome == "ok"}
    rows = [
        ScoredVariant("truth", pos, ref, alt, kind, event, None, None, "TP" if (pos, ref, alt) in found else "FN", None)
        for pos, ref, alt, kind, event, *_ in truth
    ]
    for call in calls:
        if call.outcome == "ok":
            rows.append(_call_row(call, "TP" if call[:3] in known else "FP"))
        else:
            rows.append(_call_row(call, None if call.outcome == "duplicate" else "FP"))
    return rows


def _call_row(call: JudgedCall, match: str | None) -> ScoredVariant:
    pos, ref, alt, confidence, outcome, kind, reason = call
    return ScoredVariant("call", pos, ref, alt, kind, None, confidence, outcome, match, reason)
