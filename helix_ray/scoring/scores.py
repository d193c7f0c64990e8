"""The sums over the scored reads of a worker or of a whole run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from helix_ray.records import ReadResult, ScoredVariant
from helix_ray.scoring.statistics import Outcome, Profile
from helix_ray.scoring.strata import NOT_A_VARIANT, read_levels, variant_levels
from helix_ray.scoring.summary import ALL
from helix_ray.scoring.tally import ReadCounts, Tally, fields_of

NOTHING, NO_ANSWER = "nothing", "no answer"


class Scores:
    """The sums that a worker reports during a run; those of several workers add up."""

    def __init__(self) -> None:
        self.model = Tally()
        self.ceiling = Tally()  # the aligner's calls against the same truth, by type only
        self.reads = ReadCounts()
        self.off_by: Counter[int] = Counter()  # wrong calls within 5 bases of a missed truth, by their distance

    def add(self, result: ReadResult) -> None:
        self.reads.add(result)
        if result.read.truth is None:
            return
        of_read: dict[tuple[str, ...], int] = {}
        for row in result.variants:
            fields = fields_of(row)
            if fields:
                of_read[fields] = of_read.get(fields, 0) + 1
                for level in variant_levels(row, len(result.read.ref_seq)):
                    self.model.count(level, fields)
                if row.side == "call" and row.off_by is not None:
                    self.off_by[row.off_by] += 1
            beside = fields_of(row, "baseline")
            if beside:
                self.ceiling.count(("type", row.type or NOT_A_VARIANT), beside)
        for level in read_levels(result.read) if of_read else ():
            for fields, times in of_read.items():
                self.model.count(level, fields, times)


def confused(rows: Sequence[ScoredVariant]) -> list[tuple[str, str]]:
    """Each truth's type with the type that was called in its place, and each invented call's with ``nothing``.

    A truth that was found counts as its own type, in whatever spelling; one that was not as ``nothing`` or ``no answer``.
    """
    meant = {row.pos - row.off_by: row.type or NOT_A_VARIANT for row in rows if row.side == "call" and row.off_by is not None}
    pairs = []
    for row in rows:
        kind = row.type or NOT_A_VARIANT
        if row.side == "truth" and row.match == "TP":
            pairs.append((kind, kind))
        elif row.side == "truth" and row.match == "FN":
            called = meant.get(row.pos, NOTHING) if row.detail in ("near", "allele") else NOTHING
            pairs.append((kind, NO_ANSWER if row.detail == "failed" else called))
        elif row.side == "call" and row.detail == "invented":
            pairs.append((NOTHING, kind))
    return pairs


class RunScores(Scores):
    """The sums of a live run, and those that only the report needs."""

    def __init__(self) -> None:
        super().__init__()
        self.profiles: dict[str, Counter[Profile]] = {}  # by type and for ALL: how reads came out; those with nothing are left out
        self.confidence: dict[float | None, Outcome] = {}  # calls, duplicates apart, by their confidence in hundredths
        self.confusion: Counter[tuple[str, str]] = Counter()  # types (of the truth, of the call); see `confused`
        self.outcomes: Counter[str] = Counter()  # calls by outcome, of reads with and without truth
        self.leniency: Counter[str] = Counter()  # reads by what their answers had beyond the schema

    def add(self, result: ReadResult) -> None:
        super().add(result)
        self.leniency.update(result.leniency)
        self.confusion.update(confused(result.variants))
        of_read: dict[str, list[int]] = {}
        for row in result.variants:
            if row.side == "call" and row.outcome is not None:
                self.outcomes[row.outcome] += 1
            if row.side == "call" and row.match is not None:
                self.add_call(row.confidence, row.match == "TP")
            for place, field in enumerate(Profile._fields):
                if field in fields_of(row):
                    for level in (ALL, row.type or NOT_A_VARIANT):
                        of_read.setdefault(level, [0] * len(Profile._fields))[place] += 1
        for level, counts in of_read.items():
            self.profiles.setdefault(level, Counter())[Profile(*counts)] += 1

    def add_call(self, confidence: float | None, right: bool, times: int = 1) -> None:
        key = None if confidence is None else round(confidence, 2)
        before = self.confidence.get(key, Outcome(0, 0))
        self.confidence[key] = Outcome(before.right + times * right, before.wrong + times * (not right))
