"""Calls against truth by exact alleles: GA4GH's method 2, allele match without genotype (Krusche 2019, PMC6699627)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from helix_ray.records import ScoredVariant, Variant
from helix_ray.scoring.variants import JudgedCall

SEQUENCING_ERROR = "sequencing error"
"""The reason of a false positive that equals an injected sequencing error: it is there to be seen, and no mutation."""


def score(truth: Sequence[Variant] | None, calls: Iterable[JudgedCall], errors: Sequence[Variant] | None = None) -> list[ScoredVariant]:
    """The rows of ``variant_calls`` for one read: truths first, then the calls.

    With truth, a truth is TP or FN and a call TP or FP; an invalid call is FP, a repeated one is not counted again (match
    None). Without truth (None) nothing is matched. All sides must be in normal form. A read that got no valid answer is
    scored with no calls: its whole truth is FN, as benchmarks treat a no-call. ``errors`` only give a false positive its reason.
    """
    calls = list(calls)
    if not truth and not calls:
        return []
    found = {call[:3] for call in calls if call.outcome == "ok"}
    truths = [ScoredVariant("truth", *variant[:5], None, None, "TP" if variant[:3] in found else "FN", None) for variant in truth or ()]
    return truths + judge("call", truth, calls, errors)


def judge(
    side: str, truth: Sequence[Variant] | None, calls: Iterable[JudgedCall], errors: Sequence[Variant] | None = None
) -> list[ScoredVariant]:
    """The rows of one side's calls (``call`` or ``baseline``) against the truth; see `score`."""
    known = None if truth is None else {variant[:3] for variant in truth}
    misread = {variant[:3] for variant in errors or ()}
    rows = []
    for call in calls:
        pos, ref, alt, confidence, outcome, kind, reason = call
        match = None
        if known is not None and outcome != "duplicate":
            match = "TP" if outcome == "ok" and call[:3] in known else "FP"
        if match == "FP" and outcome == "ok" and call[:3] in misread:
            reason = SEQUENCING_ERROR
        rows.append(ScoredVariant(side, pos, ref, alt, kind, None, confidence, outcome, match, reason))
    return rows
