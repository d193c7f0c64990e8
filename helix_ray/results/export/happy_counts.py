"""Truths and calls counted in hap.py's units: SNP and INDEL, by subtype and subset.

``SNP`` counts single bases: an MNV is as many SNPs as bases that it changes, each ti or tv, as hap.py counts them. So the numbers
for SNP are not those of the report's SNV. ``INDEL`` counts variants; a DELINS is complex (C). Calls whose alleles are no variant
at all are ``INVALID``, a type that hap.py does not know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from helix_ray.records import ReadResult, ScoredVariant
from helix_ray.scoring.statistics import Profile
from helix_ray.scoring.strata import NOT_A_VARIANT, Level, read_levels, subtype, variant_levels
from helix_ray.scoring.tally import Counts, Tally, fields_of

SUBTYPES = {
    "INDEL": tuple(f"{kind}{length}" for kind in "CDI" for length in ("16_PLUS", "1_5", "6_15")),
    "SNP": ("ti", "tv"),
    NOT_A_VARIANT: (NOT_A_VARIANT,),
}
FILTERS = ("ALL", "PASS")
"""ALL counts every call, PASS those that fit their window; a truth passes always."""

EVERYWHERE: Level = ("*", "*")
_SUBTYPE_DIMENSIONS = ("type", "subtype")


class _Leaf(NamedTuple):
    type: str
    subtype: str
    passed: bool


class HappyCounts:
    """Sums only: memory does not grow with the run."""

    def __init__(self) -> None:
        self._leaves: dict[_Leaf, Tally] = {}
        self.bases: Counter[Level] = Counter()  # of the windows, by the levels of their reads
        self.profiles: dict[tuple[str, str], Counter[Profile]] = {}  # (type, filter): how reads came out; those with nothing are left out
        self.reads = 0  # with known truth

    def add(self, result: ReadResult) -> None:
        read = result.read
        if read.truth is None:
            return
        self.reads += 1
        common = (EVERYWHERE, *read_levels(read))
        self.bases.update(dict.fromkeys(common, len(read.ref_seq)))
        of_read: dict[tuple[str, str], list[int]] = {}
        for row in result.variants:
            fields = fields_of(row)
            if not fields:
                continue
            own = (level for level in variant_levels(row, len(read.ref_seq)) if level[0] not in _SUBTYPE_DIMENSIONS)
            levels = (*common, *own)
            passed = row.side == "truth" or row.outcome == "ok"
            for kind, name, times in _units(row):
                tally = self._leaves.setdefault(_Leaf(kind, name, passed), Tally())
                for level in levels:
                    tally.count(level, fields, times)
                for chosen in FILTERS if passed else FILTERS[:1]:
                    profile = of_read.setdefault((kind, chosen), [0] * len(Profile._fields))
                    profile[Profile._fields.index(fields[0])] += times
        for key, counts in of_read.items():
            self.profiles.setdefault(key, Counter())[Profile(*counts)] += 1

    def get(self, kind: str, name: str, chosen: str, level: Level = EVERYWHERE) -> Counts:
        """Of a type, a subtype (``*``: all), a filter and a subset."""
        total = Counts()
        for leaf, tally in self._leaves.items():
            if leaf.type == kind and name in ("*", leaf.subtype) and (leaf.passed or chosen == "ALL"):
                total = total.plus(tally.get(level))
        return total

    def levels(self) -> list[Level]:
        """All subsets that were seen, the whole first."""
        return sorted({level for tally in self._leaves.values() for level in tally.as_dict()} | self.bases.keys())

    def types(self) -> list[str]:
        """hap.py's two always; the third where there is something to be told of it."""
        seen = {leaf.type for leaf in self._leaves}
        return [kind for kind in SUBTYPES if kind in seen or kind != NOT_A_VARIANT]


def _units(row: ScoredVariant) -> Iterator[tuple[str, str, int]]:
    """(type, subtype, how many) of one row."""
    if row.type not in ("SNV", "MNV"):
        yield ("INDEL" if row.type else NOT_A_VARIANT, subtype(row.type, row.ref, row.alt), 1)
        return
    changed = Counter(subtype("SNV", old, new) for old, new in zip(row.ref, row.alt, strict=True) if old != new)
    for name, times in changed.items():
        yield "SNP", name, times
