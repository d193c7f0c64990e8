"""Checks calls against their window, and brings the valid ones to normal form."""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Iterable, Iterator

from helix_ray.analysis.read_answer import GAPS, RawCall
from helix_ray.native import rust
from helix_ray.providers.outside_text import printable
from helix_ray.scoring.variants import Edit, JudgedCall, apply, collide, differences, edit, edits, variant_type

_BASES = frozenset("ACGT")
_SHOWN = 120

Span = tuple[int, int]


def judge_calls(calls: Iterable[RawCall], ref_seq: str) -> list[JudgedCall]:
    """One judged call per call, in the same order.

    ``ref_mismatch`` is the measure of hallucination: the asserted base is not there. Of calls that repeat or overlap each other
    the first one stands; two in one repeat are two, though each alone could stand in the other's place. A gap for an allele (``-``
    or nothing) becomes an anchored indel first.

    Valid calls are brought to normal form, each by itself, as long as they then spell the same sequence as before: an indel in a
    repeat that another call interrupts must stay where it is.

    A call without a position is placed by its excerpt of the window, and is as many calls as the two excerpts have differences.
    """
    judged: list[JudgedCall] = []
    as_called: dict[int, tuple[int, str, str]] = {}  # valid calls by their place in `judged`
    called: set[Edit] = set()
    spans: list[Span] = []
    for call in _placed(calls, ref_seq):
        if isinstance(call, JudgedCall):
            judged.append(call)
            continue
        pos, ref, alt, confidence = call
        pos, ref, alt = anchored(pos, ref, alt, ref_seq)
        outcome, reason = _fault(pos, ref, alt, ref_seq)
        if outcome == "bad_base":
            shown = printable(call[1], _SHOWN), printable(call[2], _SHOWN)
            judged.append(JudgedCall(call[0], *shown, confidence, outcome, None, reason))
            continue
        if outcome is not None:
            judged.append(JudgedCall(pos, ref, alt, confidence, outcome, _type(ref, alt), reason))
            continue
        normal_pos, normal_ref, normal_alt, kind = rust.normalize(ref_seq, pos, ref, alt)
        key, change = (normal_pos, normal_ref, normal_alt), edit(pos, ref, alt)
        span = change[:2]
        if change in called:
            judged.append(JudgedCall(*key, confidence, "duplicate", kind, "the same variant was called before"))
        elif any(collide(span, other) for other in _neighbours(spans, span)):
            judged.append(JudgedCall(*key, confidence, "overlap", kind, "it cannot be applied together with an earlier call"))
        else:
            as_called[len(judged)] = (pos, ref, alt)
            called.add(change)
            insort(spans, span)
            judged.append(JudgedCall(*key, confidence, "ok", kind))
    if len(as_called) > 1 and not _spell_the_same(ref_seq, as_called, judged):
        for index, (pos, ref, alt) in as_called.items():
            judged[index] = judged[index]._replace(pos=pos, ref=ref, alt=alt)
    return judged


def _placed(calls: Iterable[RawCall], window: str) -> Iterator[tuple[int, str, str, float | None] | JudgedCall]:
    for pos, ref, alt, confidence in calls:
        if pos is not None:
            yield pos, ref, alt, confidence
            continue
        start = window.find(ref) if ref else -1
        if not ref or not alt or not _BASES.issuperset(ref + alt):
            fault = "bad_base", "excerpts are one or more of A, C, G, T"
        elif start < 0:
            fault = "ref_mismatch", "the window does not have this excerpt"
        elif start != window.rfind(ref):
            fault = "ambiguous", "the window has this excerpt at several places"
        elif ref == alt:
            fault = "ref_equals_alt", "ref and read are the same"
        else:
            for at, old, new, _ in differences(ref, alt):
                yield start + at, old, new, confidence
            continue
        outcome, reason = fault
        yield JudgedCall(start + 1, printable(ref, _SHOWN), printable(alt, _SHOWN), confidence, outcome, None, reason)


def _neighbours(spans: list[Span], span: Span) -> list[Span]:
    """Of sorted spans that do not collide, those that ``span`` can collide with; an insertion may share its place with one."""
    place = bisect(spans, span)
    return spans[max(0, place - 2) : place + 2]


def _spell_the_same(window: str, as_called: dict[int, tuple[int, str, str]], judged: list[JudgedCall]) -> bool:
    normal = [judged[index][:3] for index in as_called]
    return normal == [*as_called.values()] or apply(window, edits(normal)) == apply(window, edits(as_called.values()))


def anchored(pos: int, ref: str, alt: str, window: str) -> tuple[int, str, str]:
    """A call with a gap for an allele, as MAF writes it, in VCF form; any other call as it is.

    In MAF an insertion's pos is the base before it and a deletion's pos the first base that is gone. A call that no base of the
    window can anchor stays as it is.
    """
    inserts, deletes = ref in GAPS, alt in GAPS
    if inserts == deletes:
        return pos, ref, alt
    if inserts and 1 <= pos <= len(window):
        before = window[pos - 1]
        return pos, before, before + alt
    if deletes and 2 <= pos <= len(window) + 1:
        before = window[pos - 2]
        return pos - 1, before + ref, before
    if deletes and pos == 1 and len(ref) < len(window):
        after = window[len(ref)]
        return 1, ref + after, after
    return pos, ref, alt


def _fault(pos: int, ref: str, alt: str, window: str) -> tuple[str | None, str | None]:
    """The first fault of an anchored call and its reason; a gap that is still an allele found no anchor."""
    inserts, deletes = ref in GAPS, alt in GAPS
    bases = alt if inserts else ref if deletes else ref + alt
    if (inserts and deletes) or not _BASES.issuperset(bases):
        return "bad_base", "alleles are one or more of A, C, G, T"
    end = pos - 1 + len(ref)
    if inserts or deletes or pos < 1 or end > len(window):
        return "out_of_range", f"the window has positions 1 to {len(window)}"
    if not window.startswith(ref, pos - 1):
        return "ref_mismatch", f"the window has {printable(window[pos - 1 : end], _SHOWN)} there"
    if ref == alt:
        return "ref_equals_alt", "ref and alt are the same"
    return None, None


def _type(ref: str, alt: str) -> str | None:
    if ref in GAPS:
        return "INS"
    return "DEL" if alt in GAPS else variant_type(ref, alt)
