"""Scores one read: the calls of the model and of the aligner against the truth, in any spelling.

GA4GH's method 2, allele match without genotype (Krusche 2019, PMC6699627), on the scale of whole haplotypes: if the calls spell the
true sequence, every truth and every call is right. Otherwise the largest subsets of both that spell the same sequence are.

Counts do not depend on spelling. Right calls count as the truths that they tell (vcfeval's weighted true positives), and a truth that
was found bears the confidence of the least sure call that tells it. False substitutions that touch are one false call.

``all_match`` repeats the match with sequencing errors as truths beside the mutations: what describes the read is right there.

``detail`` of a row gives the reason of its match:

* TP: ``allele`` (the other side names the same alleles) or ``haplotype`` (it spells the same sequence in another way)
* FP: ``error`` (a sequencing error, which the read shows), ``allele`` (a missed truth starts there, with other alleles), ``near`` (a
  missed truth lies within 5 bases), ``invented`` (none of these)
* FN: ``allele`` and ``near`` as above, ``missed`` (nothing was called there), ``failed`` (the read got no answer)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from helix_ray.records import Read, ReadResult, ScoredVariant, Variant
from helix_ray.scoring.matching import MAX_STATES, match_calls
from helix_ray.scoring.proximity import Mistake, moved, pair_nearby
from helix_ray.scoring.tally import IN_THE_READ
from helix_ray.scoring.variants import JudgedCall, apply, differences, edit, edits, trim

SCORER_VERSION = "3"
"""Raised whenever the same answer may be scored otherwise. 1 compared alleles by name, 2 counted right calls as they were spelled."""

SUBSTITUTIONS = ("SNV", "MNV")

MANY_CALLS, STATES_OF_MANY = 200, 2000
"""Calls above which the search is cut, and to how many states: a read has a handful of variants, and other reads wait. Guessed."""

MAX_ALIGNED = 4_000_000
"""Bases of the described window times bases of the read, above which no alignment is made. Guessed."""


class ReadScore(NamedTuple):
    """The rows of ``variant_calls`` of one read (truths, calls, baseline, errors), and the result of the read as a whole."""

    rows: list[ScoredVariant]
    exact: bool | None  # the valid calls spell the true sequence, and no call is invalid; None without truth or answer
    baseline_exact: bool | None  # None without truth, or where the aligner was not asked
    residual_edits: int | None  # bases that still differ between the window with the valid calls applied and the read; None: no answer
    capped: bool  # a search was given up, and alleles were compared by name


def with_score(result: ReadResult, score: ReadScore) -> ReadResult:
    return replace(
        result, variants=score.rows, exact=score.exact, baseline_exact=score.baseline_exact,
        residual_edits=score.residual_edits, capped=score.capped,
    )  # fmt: skip


class _Side(NamedTuple):
    """One caller's calls against the truth."""

    rows: list[ScoredVariant]
    matched: dict[int, tuple[str, float | None]]  # by the index of a truth: allele | haplotype, and the confidence
    mistaken: dict[int, Mistake]  # by the index of a missed truth that something was called for
    exact: bool | None
    capped: bool


def score_read(
    read: Read, calls: Sequence[JudgedCall] | None, baseline: Sequence[JudgedCall] | None, *, max_states: int = MAX_STATES
) -> ReadScore:
    """One read's score; with ``max_states`` 0 variants match by equal alleles alone, as `bcftools isec` compares them.

    ``calls`` None: no answer came, so the whole truth is missed, as benchmarks treat a no-call. ``baseline`` None: not asked.

    Precondition: all variants are in the form that `judge_calls` returns. The read's errors only tell whether a false positive is
    a sequencing error, and ``all_match``.
    """
    window, truth = read.ref_seq, read.truth
    model = _score("call", read, calls or (), max_states)
    aligner = None if baseline is None else _score("baseline", read, baseline, max_states)
    rows = [_truth_row(variant, index, model, aligner, answered=calls is not None) for index, variant in enumerate(truth or ())]
    rows += model.rows
    if aligner is not None:
        rows += aligner.rows
    capped = False
    if truth is not None and read.errors:
        rows, capped = _against_all(read, rows, max_states, answered=calls is not None)
    return ReadScore(
        rows,
        exact=None if calls is None else model.exact,
        baseline_exact=None if aligner is None else aligner.exact,
        residual_edits=None if calls is None else 0 if baseline and _same(baseline, calls) else residual_edits(window, read.seq, calls),
        capped=capped or model.capped or (aligner is not None and aligner.capped),
    )


def residual_edits(window: str, seq: str, calls: Sequence[JudgedCall]) -> int | None:
    """How many bases an optimal gap-affine alignment still finds different between the read and the window with the calls applied.

    0: the calls describe the read. An N differs from nothing. None: the read has letters that no source lets pass. Where the
    calls make the window too long to align in time (`MAX_ALIGNED`), every base counts as different.
    """
    described = apply(window, sorted(edit(*call[:3]) for call in calls if call.outcome == "ok"))
    if described is None or described == seq or not described or not seq:
        return 0 if described == seq else max(len(described or window), len(seq))
    if len(described) > 2 * len(window) and len(described) * len(seq) > MAX_ALIGNED:
        return max(len(described), len(seq))
    try:
        rest = differences(described, seq)
    except ValueError:  # damaged in transport; the sink reports that
        return None
    return sum(max(len(ref), len(alt)) for _, ref, alt in (trim(*call[:3]) for call in rest))


def _truth_row(variant: Variant, index: int, model: _Side, aligner: _Side | None, *, answered: bool) -> ScoredVariant:
    told = model.matched.get(index)
    mistake = model.mistaken.get(index, ("missed", None)) if answered else ("failed", None)
    detail, off_by = (told[0], None) if told else mistake
    by_aligner = None if aligner is None else "TP" if index in aligner.matched else "FN"
    return ScoredVariant(
        side="truth", pos=variant.pos, ref=variant.ref, alt=variant.alt, type=variant.type, event=variant.event,
        confidence=told and told[1], outcome=None, match="TP" if told else "FN", reason=None, detail=detail, off_by=off_by,
        baseline=by_aligner,
    )  # fmt: skip


def _call_row(side: str, call: JudgedCall, match: str | None, detail: str | None = None, off_by: int | None = None) -> ScoredVariant:
    return ScoredVariant(
        side=side, pos=call.pos, ref=call.ref, alt=call.alt, type=call.type, event=None,
        confidence=call.confidence, outcome=call.outcome, match=match, reason=call.reason, detail=detail, off_by=off_by,
    )  # fmt: skip


def _false_row(side: str, call: JudgedCall, mistake: Mistake, by_the_read: set[tuple[int, str, str]]) -> ScoredVariant:
    if call[:3] in by_the_read:
        call = call._replace(reason="; ".join(filter(None, (call.reason, IN_THE_READ))))
    return _call_row(side, call, "FP", *mistake)


def _score(name: str, read: Read, calls: Sequence[JudgedCall], max_states: int) -> _Side:
    truth, window = read.truth, read.ref_seq
    if truth is None:
        return _Side([_call_row(name, call, None) for call in calls], {}, {}, None, False)
    if _same(truth, calls):  # the usual case, at a fraction of the price
        rows = [_call_row(name, call, "TP", "allele") for call in calls]
        sure = {call[:3]: call.confidence for call in calls}
        return _Side(rows, {index: ("allele", sure[variant[:3]]) for index, variant in enumerate(truth)}, {}, True, False)
    valid = [index for index, call in enumerate(calls) if call.outcome == "ok"]
    said = [calls[index] for index in valid]
    found = match_calls(window, truth, said, read.errors or (), _states(said, max_states))
    right = {valid[index] for index in found.calls}
    false = _joined(calls, [index for index, call in enumerate(calls) if index not in right and call.outcome != "duplicate"])
    misread = {valid[index] for index in found.errors}
    wrong = [members for members in false if not misread.issuperset(members)]
    missed = [index for index in range(len(truth)) if index not in found.truths]
    pairs = pair_nearby([truth[index].pos for index in missed], [false[members].pos for members in wrong]) if missed and wrong else []
    mistakes: dict[Members, Mistake] = {members: ("invented" if members in wrong else "error", None) for members in false}
    mistakes |= {wrong[pair.call]: pair.mistake for pair in pairs}
    names = {variant[:3] for variant in truth}
    called = {calls[index][:3] for index in right}
    by_the_read = moved(truth, missed)
    by_place = {members[0]: _false_row(name, false[members], mistake, by_the_read) for members, mistake in mistakes.items()}
    for index, call in enumerate(calls):
        if index in right:
            by_place[index] = _call_row(name, call, "TP", "allele" if call[:3] in names else "haplotype")
        elif call.outcome == "duplicate":
            by_place[index] = _call_row(name, call, None)
    matched = {
        index: ("allele" if truth[index][:3] in called else "haplotype", _least_sure([said[one] for one in told]))
        for truths, told in found.stretches
        for index in truths
    }
    mistaken = {missed[pair.truth]: pair.mistake for pair in pairs}
    exact = not mistakes and not missed and _spells_the_truth(window, truth, said)
    return _Side([by_place[index] for index in sorted(by_place)], matched, mistaken, exact, found.capped)


Members = tuple[int, ...]
"""Indices of calls that count as one."""


def _joined(calls: Sequence[JudgedCall], false: Sequence[int]) -> dict[Members, JudgedCall]:
    """False calls, with those substitutions made one that touch: how a stretch of wrong bases is spelled must not count."""
    joined: dict[Members, JudgedCall] = {}
    last: Members = ()
    for index in sorted(false, key=lambda index: calls[index].pos):
        call = calls[index]
        if not (call.outcome == "ok" and call.type in SUBSTITUTIONS):
            joined[index,] = call
            continue
        before = joined.get(last)
        if before is not None and before.pos + len(before.ref) == call.pos:
            sure = _least_sure([before, call])
            call = before._replace(ref=before.ref + call.ref, alt=before.alt + call.alt, confidence=sure, type="MNV")
            del joined[last]
            last = (*last, index)
        else:
            last = (index,)
        joined[last] = call
    return joined


def _least_sure(calls: Sequence[JudgedCall]) -> float | None:
    return min((call.confidence for call in calls if call.confidence is not None), default=None)


def _against_all(read: Read, rows: list[ScoredVariant], max_states: int, *, answered: bool) -> tuple[list[ScoredVariant], bool]:
    """The rows with their ``all_match`` and one more for each sequencing error, and whether the search was given up."""
    errors = read.errors or ()
    called = [row for row in rows if row.side == "call" and row.outcome == "ok"]
    said = [JudgedCall(*row[1:4], row.confidence, "ok", row.type) for row in called]
    found = match_calls(read.ref_seq, [*(read.truth or ()), *errors], said, (), _states(said, max_states))
    truths, right = found.truths, {said[index][:3] for index in found.calls}
    failed = None if answered else "failed"
    rows = [*rows, *(ScoredVariant("error", *error[:5], None, None, None, None, failed) for error in errors)]
    told = iter(range(len(rows)))

    def match(row: ScoredVariant) -> str | None:
        if row.side == "call":
            return row.match and ("TP" if row.outcome == "ok" and row[1:4] in right else "FP")
        return None if row.side == "baseline" else "TP" if next(told) in truths else "FN"

    return [row._replace(all_match=match(row)) for row in rows], found.capped


def _states(calls: Sequence[JudgedCall], max_states: int) -> int:
    return min(max_states, STATES_OF_MANY) if len(calls) > MANY_CALLS else max_states


def _same(one: Sequence[Variant | JudgedCall], calls: Sequence[JudgedCall]) -> bool:
    """Whether all calls are valid and have exactly the alleles of ``one``. If ``one`` spells the read, then so do the calls."""
    if len(one) != len(calls) or any(call.outcome != "ok" for call in calls):
        return False
    return {variant[:3] for variant in one} == {call[:3] for call in calls}


def _spells_the_truth(window: str, truth: Sequence[Variant], valid: Sequence[JudgedCall]) -> bool:
    """Needed beside the matches: a truth and an error called as one match, though mutations alone do not describe that read."""
    if {variant[:3] for variant in truth} == {call[:3] for call in valid}:
        return True
    spelled = apply(window, edits(variant[:3] for variant in truth))
    return spelled is not None and spelled == apply(window, edits(call[:3] for call in valid))
