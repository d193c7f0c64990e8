"""One read scored: the model's calls and the aligner's against the truth, whatever they call it.

GA4GH's method 2, allele match without genotype (Krusche 2019, PMC6699627), on the scale of whole haplotypes: if the calls spell the
true sequence, every truth and every call is right. Otherwise the largest subsets of both that spell the same sequence are.

``detail`` of a row says how it came to its match:

* TP: ``allele`` (the other side names the same alleles) or ``haplotype`` (it spells the same sequence in another way)
* FP: ``error`` (a sequencing error: it is there to be seen, and no mutation), ``allele`` (a missed truth starts there, with other
  alleles), ``near`` (a missed truth lies within 5 bases), ``invented`` (nothing is there)
* FN: ``allele`` and ``near`` as above, ``missed`` (nothing was called there), ``failed`` (the read got no answer)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from helix_ray.native import rust
from helix_ray.records import Read, ScoredVariant, Variant
from helix_ray.scoring.edits import apply, edit, edits
from helix_ray.scoring.haplotype import MAX_STATES
from helix_ray.scoring.matching import match_calls
from helix_ray.scoring.near import pair_up
from helix_ray.scoring.variants import JudgedCall, trim

SCORER_VERSION = "2"
"""Raised whenever the same answer may be scored otherwise. 1 compared alleles by name."""


MANY_CALLS, STATES_OF_MANY = 200, 2000
"""A read has a handful of variants; an answer with hundreds of calls is not worth holding up the others for."""

MAX_ALIGNED = 4_000_000
"""Bases times bases."""


class ReadScore(NamedTuple):
    """The rows of ``variant_calls`` of one read (truths, calls, baseline), and what is true of the read as a whole."""

    rows: list[ScoredVariant]
    exact: bool | None  # the valid calls spell the true sequence, and no call is invalid; None without truth or answer
    baseline_exact: bool | None  # None without truth, or where the aligner was not asked
    residual_edits: int | None  # bases that still differ between the window with the valid calls applied and the read; None: no answer
    capped: bool  # a search was given up, and alleles were compared by name

    def as_fields(self) -> dict[str, Any]:
        """As the fields of a `ReadResult`, which calls the rows its variants."""
        named = self._asdict()
        return {"variants": named.pop("rows"), **named}


class _Side(NamedTuple):
    """One caller's calls against the truth."""

    rows: list[ScoredVariant]
    matched: dict[int, str]  # index of a truth: allele | haplotype
    near: dict[int, tuple[str, int]]  # index of a missed truth: allele | near, and how far off
    exact: bool | None
    capped: bool


def score_read(
    read: Read, calls: Sequence[JudgedCall] | None, baseline: Sequence[JudgedCall] | None, *, max_states: int = MAX_STATES
) -> ReadScore:
    """One read's score; with ``max_states`` 0 variants match by equal alleles alone, as `bcftools isec` compares them.

    ``calls`` None: no answer came, so the whole truth is missed, as benchmarks treat a no-call. ``baseline`` None: not asked.

    All variants must be in the form that `judge_calls` leaves them in; the read's errors are only there to tell a false positive
    that was to be seen from one that was not.
    """
    window, truth = read.ref_seq, read.truth
    side = _score("call", read, calls or (), max_states)
    beside = None if baseline is None else _score("baseline", read, baseline, max_states)
    rows = [
        ScoredVariant(
            "truth",
            *variant[:5],
            None,
            None,
            "TP" if index in side.matched else "FN",
            None,
            *(("failed", None) if calls is None else _detail(index, side)),
            None if beside is None else "TP" if index in beside.matched else "FN",
        )
        for index, variant in enumerate(truth or ())
    ]
    rows += side.rows
    if beside is not None:
        rows += beside.rows
    return ReadScore(
        rows,
        None if calls is None else side.exact,
        None if beside is None else beside.exact,
        None if calls is None else 0 if baseline and _same(baseline, calls) else residual_edits(window, read.seq, calls),
        side.capped or (beside is not None and beside.capped),
    )


def residual_edits(window: str, seq: str, calls: Sequence[JudgedCall]) -> int | None:
    """How many bases an optimal gap-affine alignment still finds different between the read and the window with the calls applied.

    0: the calls describe the read. An N differs from nothing. None: the read has letters that no source lets pass. Where calls
    blow the window up so far that an alignment would hold up everything else, every base counts as different.
    """
    described = apply(window, sorted(edit(*call[:3]) for call in calls if call.outcome == "ok"))
    if described is None or described == seq or not described or not seq:
        return 0 if described == seq else max(len(described or window), len(seq))
    if len(described) > 2 * len(window) and len(described) * len(seq) > MAX_ALIGNED:
        return max(len(described), len(seq))
    try:
        _, (rest,) = rust.align([described], [seq])
    except ValueError:  # damaged on its way, which is for the sink to say
        return None
    return sum(max(len(ref), len(alt)) for _, ref, alt in (trim(*call[:3]) for call in rest))


def _detail(index: int, side: _Side) -> tuple[str, int | None]:
    if index in side.matched:
        return side.matched[index], None
    return side.near.get(index, ("missed", None))


def _score(name: str, read: Read, calls: Sequence[JudgedCall], max_states: int) -> _Side:
    truth, window = read.truth, read.ref_seq
    if truth is None:
        rows = [ScoredVariant(name, call.pos, call.ref, call.alt, call.type, None, *call[3:5], None, call.reason) for call in calls]
        return _Side(rows, {}, {}, None, False)
    if _same(truth, calls):  # the usual case, at a fraction of the price
        rows = [ScoredVariant(name, *call[:3], call.type, None, *call[3:5], "TP", call.reason, "allele") for call in calls]
        return _Side(rows, dict.fromkeys(range(len(truth)), "allele"), {}, True, False)
    valid = [index for index, call in enumerate(calls) if call.outcome == "ok"]
    errors = read.errors or ()
    if len(valid) > MANY_CALLS:
        max_states = min(max_states, STATES_OF_MANY)
    found = match_calls(window, truth, [calls[index] for index in valid], errors, max_states)
    right = {valid[index] for index in found.calls}
    misread = {valid[index] for index in found.errors}
    wrong = [index for index, call in enumerate(calls) if index not in right and index not in misread and call.outcome != "duplicate"]
    missed = [index for index in range(len(truth)) if index not in found.truths]
    pairs = pair_up([truth[index].pos for index in missed], [calls[index].pos for index in wrong]) if missed and wrong else []
    kinds = {wrong[near.call]: ("near" if near.off_by else "allele", near.off_by) for near in pairs}
    near = {missed[near.truth]: ("near" if near.off_by else "allele", near.off_by) for near in pairs}
    names = {variant[:3] for variant in truth}
    called = {calls[index][:3] for index in right}
    rows = []
    for index, call in enumerate(calls):
        fate: tuple[str | None, str | None, int | None]
        if call.outcome == "duplicate":
            fate = (None, None, None)
        elif index in right:
            fate = ("TP", "allele" if call[:3] in names else "haplotype", None)
        elif index in misread:
            fate = ("FP", "error", None)
        else:
            fate = ("FP", *kinds.get(index, ("invented", None)))
        rows.append(ScoredVariant(name, *call[:3], call.type, None, *call[3:5], fate[0], call.reason, fate[1], fate[2]))
    matched = {index: "allele" if truth[index][:3] in called else "haplotype" for index in found.truths}
    exact = not wrong and not misread and not missed and _spells_the_truth(window, truth, [calls[index] for index in valid])
    return _Side(rows, matched, near, exact, found.capped)


def _same(one: Sequence[Variant | JudgedCall], calls: Sequence[JudgedCall]) -> bool:
    """Whether all calls are valid and are, by their names, exactly the variants of ``one``. The aligner's calls give the read, so the
    model's do if they are the same.
    """
    if len(one) != len(calls) or any(call.outcome != "ok" for call in calls):
        return False
    return {variant[:3] for variant in one} == {call[:3] for call in calls}


def _spells_the_truth(window: str, truth: Sequence[Variant], valid: Sequence[JudgedCall]) -> bool:
    """Also a truth and an error that were called as one match; that read is not described by its mutations alone."""
    if {variant[:3] for variant in truth} == {call[:3] for call in valid}:
        return True
    spelled = apply(window, edits(variant[:3] for variant in truth))
    return spelled is not None and spelled == apply(window, edits(call[:3] for call in valid))
