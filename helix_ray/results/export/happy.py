"""``summary.csv`` and ``extended.csv``: the tables that hap.py writes, under its names, for whatever reads them.

hap.py's columns come first and in its order (Illumina/hap.py, ``doc/happy.md``); ours follow. What has no meaning here is empty: a read
is one haplotype, so nothing is het or homalt, and genotypes cannot be wrong (``FP.gt`` is 0). All calls are assessed, so
``QUERY.UNK`` and ``METRIC.Frac_NA`` are 0; truths of reads without an answer are FN, and ``TRUTH.FN.failed`` says how many.

``SNP`` counts single bases: an MNV is as many SNPs as bases that it changes, each ti or tv, as hap.py counts them. So the numbers
for SNP are not those of the report's SNV. ``INDEL`` counts variants; a DELINS is complex (C). Calls whose alleles are no variant
at all are ``INVALID``, a type that hap.py does not know.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from helix_ray.records import ReadResult, ScoredVariant
from helix_ray.results.accuracy import TRUTH_ONLY
from helix_ray.results.export.reads import Context
from helix_ray.results.export.records import cell
from helix_ray.results.provenance import COLUMNS
from helix_ray.results.schema import Measure
from helix_ray.scoring.clusters import Profile, Spreads, spreads
from helix_ray.scoring.strata import NOT_A_VARIANT, Level, read_levels, subtype, variant_levels
from helix_ray.scoring.summary import ALONE, measures
from helix_ray.scoring.tally import Counts, Tally, fields_of

SUBTYPES = {
    "INDEL": tuple(f"{kind}{length}" for kind in "CDI" for length in ("16_PLUS", "1_5", "6_15")),
    "SNP": ("ti", "tv"),
    NOT_A_VARIANT: (),
}
FILTERS = ("ALL", "PASS")  # ALL counts every call, PASS those that fit their window; a truth passes always

EVERYWHERE: Level = ("*", "*")
_SUBTYPE_DIMENSIONS = ("type", "subtype")

_GROUPS = {
    "TRUTH.TOTAL": ("tp", "fn"), "TRUTH.TP": ("tp",), "TRUTH.FN": ("fn",),
    "QUERY.TOTAL": ("tp", "fp"), "QUERY.TP": ("tp",), "QUERY.FP": ("fp",), "QUERY.UNK": (),
}  # fmt: skip
_METRICS = ("METRIC.Recall", "METRIC.Precision", "METRIC.Frac_NA", "METRIC.F1_Score")
_PARTS = ("", ".ti", ".tv", ".het", ".homalt", ".TiTv_ratio", ".het_hom_ratio")
_OURS = (
    *(f"METRIC.{name}_{end}" for name in ("Recall", "Precision", "F1_Score") for end in ("lower", "upper")),
    *("FP.near", "FP.error", "FP.invalid", "TRUTH.FN.failed", "Simulated", *COLUMNS),
)
SUMMARY = (
    *("Type", "Filter", "TRUTH.TOTAL", "TRUTH.TP", "TRUTH.FN", "QUERY.TOTAL", "QUERY.FP", "QUERY.UNK", "FP.gt", "FP.al"),
    *_METRICS,
    *(f"{side}.TOTAL.{ratio}" for ratio in ("TiTv_ratio", "het_hom_ratio") for side in ("TRUTH", "QUERY")),
    *("QUERY.TP", *_OURS),
)
EXTENDED = (
    *("Type", "Subtype", "Subset", "Filter", "Genotype", "QQ.Field", "QQ", *_METRICS, "FP.gt", "FP.al"),
    *("Subset.Size", "Subset.IS_CONF.Size", "Subset.Level"),
    *(f"{group}{part}" for group in _GROUPS for part in _PARTS),
    *_OURS,
)


_OF_CALLS = {name for name in EXTENDED if name.startswith(("QUERY.", "FP.", "METRIC.P", "METRIC.F"))}


class _Leaf(NamedTuple):
    type: str
    subtype: str
    passed: bool


class HappyTables:
    """Counts while results come, and writes at the end. Sums only: memory does not grow with the run."""

    def __init__(self, context: Context) -> None:
        self._folder = context.folder
        self._run, self._name = context.run, context.name
        self._leaves: dict[_Leaf, Tally] = {}
        self._bases: Counter[Level] = Counter()  # of the windows, by the levels of their reads
        self._profiles: dict[tuple[str, str], Counter[Profile]] = {}  # (type, filter): how reads came out; those with nothing are left out

    def add(self, result: ReadResult) -> None:
        read = result.read
        if read.truth is None:
            return
        common = (EVERYWHERE, *read_levels(read))
        self._bases.update(dict.fromkeys(common, len(read.ref_seq)))
        of_read: dict[tuple[str, str], list[int]] = {}
        for row in result.variants:
            fields = fields_of(row)
            if not fields:
                continue
            own = (level for level in variant_levels(row, read.ref_seq) if level[0] not in _SUBTYPE_DIMENSIONS)
            levels = (*common, *own)
            passed = row.side == "truth" or row.outcome == "ok"
            for kind, name, times in _units(row):
                tally = self._leaves.setdefault(_Leaf(kind, name, passed), Tally())
                for level in levels:
                    tally.count(level, fields, times)
                for chosen in FILTERS if passed else FILTERS[:1]:
                    profile = of_read.setdefault((kind, chosen), [0] * len(Profile._fields))
                    for field in set(fields) & {*Profile._fields}:
                        profile[Profile._fields.index(field)] += times
        for key, counts in of_read.items():
            self._profiles.setdefault(key, Counter())[Profile(*counts)] += 1

    def _counts(self, kind: str, name: str, chosen: str, level: Level = EVERYWHERE) -> Counts:
        """Of a type, a subtype (``*``: all), a filter and a subset."""
        total = Counts()
        for leaf, tally in self._leaves.items():
            if leaf.type == kind and name in ("*", leaf.subtype) and (leaf.passed or chosen == "ALL"):
                total = total.plus(tally.get(level))
        return total

    def close(self) -> list[Path]:
        seen = {leaf.type for leaf in self._leaves}  # hap.py's two types are always there, the third where it occurs
        kinds = [(kind, FILTERS) for kind in ("INDEL", "SNP")] + [(kind, FILTERS[:1]) for kind in (NOT_A_VARIANT,) if kind in seen]
        levels = sorted({level for tally in self._leaves.values() for level in tally.as_dict()} | self._bases.keys())  # the whole first
        summary = [self._row(kind, "*", chosen, EVERYWHERE) for kind, filters in kinds for chosen in filters]
        parts = ((kind, name, level, filters) for kind, filters in kinds for name in ("*", *SUBTYPES[kind]) for level in levels)
        extended = (self._row(kind, name, chosen, level) for kind, name, level, filters in parts for chosen in filters)
        named = [self._folder / name for name in ("summary.csv", f"{self._name}.summary.csv")]  # MultiQC reads the second alone
        return [*(_write(path, SUMMARY, summary) for path in named), _write(self._folder / "extended.csv", EXTENDED, extended)]

    def _row(self, kind: str, name: str, chosen: str, level: Level) -> dict[str, object]:
        counts = self._counts(kind, name, chosen, level)
        whole = name == "*" and level == EVERYWHERE
        known = spreads(self._profiles.get((kind, chosen), {})) if whole else ALONE
        bases = self._bases.get(level)
        row: dict[str, object] = {
            "Type": kind, "Subtype": name, "Subset": "*" if level == EVERYWHERE else "=".join(level), "Filter": chosen, "Genotype": "*",
            "QQ.Field": "QUAL", "QQ": "*",
            "Subset.Size": bases, "Subset.IS_CONF.Size": bases,  # the truth is complete in all of a window
            "Subset.Level": 0, "Simulated": self._run["simulated"], **{name: self._run[name] for name in COLUMNS},
        }  # fmt: skip
        if kind == "SNP":
            ti, tv = (self._counts(kind, part, chosen, level) if name in ("*", part) else Counts() for part in SUBTYPES[kind])
            row |= _transitions(ti, tv)
        row |= _metrics(counts, known)
        return {name: None if level[0] in TRUTH_ONLY and name in _OF_CALLS else value for name, value in row.items()}


def _metrics(counts: Counts, known: Spreads) -> dict[str, object]:
    found = measures(counts, known)
    calls = counts.tp + counts.fp
    row: dict[str, object] = {group: _sum(counts, names) for group, names in _GROUPS.items()}
    row |= {"FP.gt": 0, "FP.al": counts.fp_allele, "METRIC.Frac_NA": 0.0 if calls else None}
    columns: tuple[tuple[str, Measure], ...] = (("Recall", "recall"), ("Precision", "precision"), ("F1_Score", "f1"))
    for name, key in columns:
        row[f"METRIC.{name}"] = found[key]
        row[f"METRIC.{name}_lower"], row[f"METRIC.{name}_upper"] = found["ci"][key] or (None, None)
    ours = {"FP.near": counts.fp_near, "FP.error": counts.fp_error, "FP.invalid": counts.fp_invalid, "TRUTH.FN.failed": counts.fn_failed}
    return row | ours


def _transitions(ti: Counts, tv: Counts) -> dict[str, object]:
    row: dict[str, object] = {}
    for group, names in _GROUPS.items():
        some, others = _sum(ti, names), _sum(tv, names)
        row |= {f"{group}.ti": some, f"{group}.tv": others, f"{group}.TiTv_ratio": some / others if others else None}
    return row


def _sum(counts: Counts, names: Iterable[str]) -> int:
    return sum(getattr(counts, name) for name in names)


def _units(row: ScoredVariant) -> Iterator[tuple[str, str, int]]:
    """(type, subtype, how many) of one row."""
    if row.type not in ("SNV", "MNV"):
        yield ("INDEL" if row.type else NOT_A_VARIANT, subtype(row.type, row.ref, row.alt), 1)
        return
    changed = Counter(subtype("SNV", old, new) for old, new in zip(row.ref, row.alt, strict=True) if old != new)
    for name, times in changed.items():
        yield "SNP", name, times


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([cell(row.get(column)) for column in columns] for row in rows)
    return path
