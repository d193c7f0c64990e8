"""The sums over the scored reads of a worker or of a whole run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import add
from typing import TypeVar

from helix_ray.records import ReadResult, ScoredVariant
from helix_ray.scoring.clusters import Profile, ReadProfile
from helix_ray.scoring.statistics import Outcome
from helix_ray.scoring.strata import NOT_A_VARIANT, read_levels, variant_levels
from helix_ray.scoring.summary import ALL
from helix_ray.scoring.tally import ReadCounts, Tally, fields_of, fields_of_all

NOTHING, NO_ANSWER = "nothing", "no answer"

P = TypeVar("P", Profile, ReadProfile)


class Scores:
    """The sums that a worker reports during a run; those of several workers add up."""

    def __init__(self) -> None:
        self.model = Tally()
        self.all_differences = Tally()  # sequencing errors count as truths too; by type only
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
                for level in variant_levels(row, result.read.ref_seq):
                    self.model.count(level, fields)
                if row.side == "call" and row.off_by is not None:
                    self.off_by[row.off_by] += 1
            kind = ("type", row.type or NOT_A_VARIANT)
            if beside := fields_of(row, "baseline"):
                self.ceiling.count(kind, beside)
            if shown := fields_of_all(row):
                self.all_differences.count(kind, shown)
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
    """The sums of a live run, and those that only the report needs. ``packed``: reads of one request are a cluster, else each is one."""

    def __init__(self, *, packed: bool = False) -> None:
        super().__init__()
        self.profiles: dict[str, Counter[Profile]] = {}  # by type and for ALL: how clusters came out; those with nothing are left out
        self.profiles_of_all: dict[str, Counter[Profile]] = {}  # as ``profiles``, with sequencing errors as truths
        self.read_profiles: Counter[ReadProfile] = Counter()
        self.confidence: dict[float | None, Outcome] = {}  # truths that were told and false calls, by confidence in hundredths
        self.confusion: Counter[tuple[str, str]] = Counter()  # types (of the truth, of the call); see `confused`
        self.outcomes: Counter[str] = Counter()  # calls by outcome, of reads with and without truth
        self.leniency: Counter[str] = Counter()  # reads by what their answers had beyond the schema
        self._packed = packed
        self._requests: dict[tuple[str, ...], tuple[int, ...]] = {}  # what they came to so far

    def add(self, result: ReadResult) -> None:
        before = self.reads.profile()
        super().add(result)
        self.leniency.update(result.leniency)
        self.confusion.update(confused(result.variants))
        request = result.call_id if self._packed else None
        for row in result.variants:
            if row.side == "call" and row.outcome is not None:
                self.outcomes[row.outcome] += 1
            fields = fields_of(row)
            if "fp" in fields or "tp" in fields:
                self.add_call(row.confidence, "tp" in fields)
        for name, profiles, counted in (("", self.profiles, fields_of), ("all", self.profiles_of_all, fields_of_all)):
            found: dict[str, Counter[str]] = {}
            for row in result.variants:
                if fields := counted(row):
                    for level in (ALL, row.type or NOT_A_VARIANT):
                        found.setdefault(level, Counter()).update(fields)
            for level, counts in found.items():
                profile = Profile(*(counts[field] for field in Profile._fields))
                self._cluster(profiles.setdefault(level, Counter()), profile, request, name, level)
        if self.reads.reads > before.reads:
            gained = ReadProfile(*(now - then for now, then in zip(self.reads.profile(), before, strict=True)))
            self._cluster(self.read_profiles, gained, request, "reads")

    def _cluster(self, counter: Counter[P], profile: P, request: str | None, *what: str) -> None:
        """Count a read by itself, or have its request count as one that came to so much more."""
        if request is not None:
            before = self._requests.get((request, *what))
            if before is not None:
                counter[type(profile)(*before)] -= 1
                profile = type(profile)(*map(add, before, profile))
            self._requests[request, *what] = profile
        counter[profile] += 1

    def add_call(self, confidence: float | None, right: bool, times: int = 1) -> None:
        key = None if confidence is None else round(confidence, 2)
        before = self.confidence.get(key, Outcome(0, 0))
        self.confidence[key] = Outcome(before.right + times * right, before.wrong + times * (not right))
