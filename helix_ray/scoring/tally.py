"""Counts that add up over reads, workers and sessions. Nothing is scored again to merge them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from helix_ray.records import Disposition, ReadResult, ScoredVariant
from helix_ray.scoring.clusters import ReadProfile
from helix_ray.scoring.strata import Level
from helix_ray.scoring.variants import trim

IN_THE_READ = "right at its position in the read"
"""Ends the reason of a wrong call that insertions and deletions before it explain; see `proximity.moved`."""


class Counts(NamedTuple):
    """Truths, and calls that are wrong: right ones count as the truths that they tell. The truths of dead letters are ``fn``."""

    tp: int = 0  # truths that were found
    fn: int = 0  # truths that were not
    fn_allele: int = 0  # of fn: something else was called in their place
    fn_near: int = 0  # of fn: something was called within 5 bases
    fn_failed: int = 0  # of fn: their reads got no answer
    fp: int = 0  # calls that are not right
    fp_error: int = 0  # of fp: sequencing errors
    fp_allele: int = 0  # of fp: a missed truth's place with other alleles
    fp_near: int = 0  # of fp: within 5 bases of a missed truth
    fp_invalid: int = 0  # of fp: does not fit the window at all, wherever it lies

    def plus(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


_FIELD = {name: index for index, name in enumerate(Counts._fields)}


def fields_of(row: ScoredVariant, side: str = "call") -> tuple[str, ...]:
    """Which of the counts a row adds one to, seen from the model (side ``call``) or from the aligner (side ``baseline``)."""
    if row.side == "truth":
        return _fields(row.match, row.detail, True) if side == "call" else _fields(row.baseline, None, True)
    return _fields(row.match, row.detail, row.outcome == "ok") if row.side == side and row.match == "FP" else ()


def fields_of_all(row: ScoredVariant) -> tuple[str, ...]:
    """As `fields_of` of the model, with sequencing errors as truths. What kind of mistake it is, is not known there."""
    match = row.all_match or row.match
    counted = row.side in ("truth", "error") or (row.side == "call" and match == "FP")
    return _fields(match, row.detail if row.detail == "failed" else None, True) if counted else ()


@cache
def _fields(match: str | None, detail: str | None, valid: bool) -> tuple[str, ...]:
    if match not in ("FN", "FP"):
        return ("tp",) if match == "TP" else ()
    wrong = match.lower()
    fields = (wrong, f"{wrong}_{detail}") if f"{wrong}_{detail}" in _FIELD else (wrong,)
    return fields if valid else (*fields, "fp_invalid")


@cache
def _places(fields: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(_FIELD[field] for field in fields)


class Tally:
    """Counts by level of every dimension."""

    def __init__(self) -> None:
        self._counts: dict[Level, list[int]] = {}

    def count(self, level: Level, fields: tuple[str, ...], times: int = 1) -> None:
        counts = self._counts.get(level)
        if counts is None:
            counts = self._counts[level] = [0] * len(Counts._fields)
        for place in _places(fields):
            counts[place] += times

    def get(self, level: Level) -> Counts:
        return Counts(*self._counts.get(level, ()))

    def as_dict(self) -> dict[Level, Counts]:
        return {level: Counts(*counts) for level, counts in sorted(self._counts.items())}

    def by(self, dimension: str) -> dict[str, Counts]:
        """The levels of one dimension."""
        return {level: counts for (name, level), counts in self.as_dict().items() if name == dimension}


@dataclass(slots=True)
class ReadCounts:
    """Reads with known truth, by their result as a whole.

    The four outcomes of detection ask whether a read has any variant. A read without an answer misses its variants; without variants
    it is not counted there, since no answer called it clean.
    """

    reads: int = 0
    answered: int = 0
    exact: int = 0  # a read without an answer is not exact
    baseline_exact: int = 0
    both_exact: int = 0
    described: int = 0  # the calls give the read, sequencing errors included, and none is invalid
    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0
    invented: int = 0  # answered, with a call that no truth and no sequencing error explains
    renumbered: int = 0  # answered, with a wrong call that is right at its position in the read
    capped: int = 0  # the search was given up
    residual_edits: int = 0  # bases, of the answered reads
    truth_edits: int = 0  # bases, of the answered reads

    def profile(self) -> ReadProfile:
        return ReadProfile(self.reads, self.answered, self.exact, self.described)

    def add(self, result: ReadResult) -> None:
        read = result.read
        if read.truth is None or read.disposition is not None:
            return
        answered = result.disposition is Disposition.STORED
        mutated, detected = bool(read.truth), answered and bool(result.mutation_detected)
        self.reads += 1
        self.true_positive += mutated and detected
        self.false_positive += detected and not mutated
        self.false_negative += mutated and not detected
        self.true_negative += answered and not (mutated or detected)
        self.capped += result.capped
        self.exact += bool(result.exact)
        self.baseline_exact += bool(result.baseline_exact)
        self.both_exact += bool(result.exact and result.baseline_exact)
        if not answered:
            return
        self.answered += 1
        fits = all(row.outcome in ("ok", "duplicate") for row in result.variants if row.side == "call")
        self.described += fits and result.residual_edits == 0
        self.invented += any(row.side == "call" and row.detail == "invented" for row in result.variants)
        self.renumbered += any(row.side == "call" and (row.reason or "").endswith(IN_THE_READ) for row in result.variants)
        self.residual_edits += result.residual_edits or 0
        # rows from before schema version 2 have no length: the bases that change, as the generator counts them
        self.truth_edits += sum(variant.length or max(map(len, trim(*variant[:3])[1:])) for variant in read.truth)
