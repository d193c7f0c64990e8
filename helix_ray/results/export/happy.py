"""``summary.csv`` and ``extended.csv``: the tables that hap.py writes, under its names, for whatever reads them.

hap.py's columns come first and in its order (Illumina/hap.py, ``doc/happy.md``); ours follow. What has no meaning here is empty: a read
is one haplotype, so nothing is het or homalt, and genotypes cannot be wrong (``FP.gt`` is 0). All calls are assessed, so
``QUERY.UNK`` and ``METRIC.Frac_NA`` are 0; truths of reads without an answer are FN, and ``TRUTH.FN.failed`` says how many.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from helix_ray.records import ReadResult
from helix_ray.results.export.cells import cell
from helix_ray.results.export.happy_counts import EVERYWHERE, FILTERS, SUBTYPES, HappyCounts
from helix_ray.scoring.statistics import f1_interval
from helix_ray.scoring.strata import NOT_A_VARIANT, Level
from helix_ray.scoring.summary import measures
from helix_ray.scoring.tally import Counts

_GROUPS = {
    "TRUTH.TOTAL": ("tp", "fn"),
    "TRUTH.TP": ("tp",),
    "TRUTH.FN": ("fn",),
    "QUERY.TOTAL": ("query_tp", "fp"),
    "QUERY.TP": ("query_tp",),
    "QUERY.FP": ("fp",),
    "QUERY.UNK": (),
}
_METRICS = ("METRIC.Recall", "METRIC.Precision", "METRIC.Frac_NA", "METRIC.F1_Score")
_PARTS = ("", ".ti", ".tv", ".het", ".homalt", ".TiTv_ratio", ".het_hom_ratio")
_OURS = (
    *(f"METRIC.{name}_{end}" for name in ("Recall", "Precision", "F1_Score") for end in ("lower", "upper")),
    *("FP.near", "FP.error", "FP.invalid", "TRUTH.FN.failed", "Simulated"),
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


class HappyTables:
    """Counts while results come, and writes at the end."""

    def __init__(self, folder: Path, simulated: bool) -> None:
        self._folder = folder
        self._simulated = simulated
        self._counts = HappyCounts()

    def add(self, result: ReadResult) -> None:
        self._counts.add(result)

    def close(self) -> list[Path]:
        wholes = ((kind, chosen) for kind in self._counts.types() for chosen in _filters(kind))
        summary = (self._row(kind, "*", chosen, EVERYWHERE) for kind, chosen in wholes)
        parts = ((kind, name, level) for kind in self._counts.types() for name in _subtypes(kind) for level in self._counts.levels())
        extended = (self._row(kind, name, chosen, level) for kind, name, level in parts for chosen in _filters(kind))
        return [_write(self._folder / "summary.csv", SUMMARY, summary), _write(self._folder / "extended.csv", EXTENDED, extended)]

    def _row(self, kind: str, name: str, chosen: str, level: Level) -> dict[str, object]:
        counts = self._counts.get(kind, name, chosen, level)
        whole = name == "*" and level == EVERYWHERE
        interval = f1_interval(self._counts.profiles.get((kind, chosen), {}), self._counts.reads) if whole else None
        bases = self._counts.bases.get(level)
        row: dict[str, object] = {
            "Type": kind,
            "Subtype": name,
            "Subset": "*" if level == EVERYWHERE else "=".join(level),
            "Filter": chosen,
            "Genotype": "*",
            "QQ.Field": "QUAL",
            "QQ": "*",
            "Subset.Size": bases,
            "Subset.IS_CONF.Size": bases,  # the truth is complete in all of a window
            "Subset.Level": 0,
            "Simulated": self._simulated,
        }
        if kind == "SNP":
            ti, tv = (self._counts.get(kind, part, chosen, level) if name in ("*", part) else Counts() for part in SUBTYPES[kind])
            row |= _transitions(ti, tv)
        return row | _metrics(counts, interval)


def _metrics(counts: Counts, f1: tuple[float, float] | None) -> dict[str, object]:
    found = measures(counts, f1)
    calls = counts.query_tp + counts.fp
    row: dict[str, object] = {group: _sum(counts, names) for group, names in _GROUPS.items()}
    row |= {"FP.gt": 0, "FP.al": counts.fp_allele, "METRIC.Frac_NA": 0.0 if calls else None}
    for name, key in (("Recall", "recall"), ("Precision", "precision"), ("F1_Score", "f1")):
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


def _filters(kind: str) -> tuple[str, ...]:
    return FILTERS[:1] if kind == NOT_A_VARIANT else FILTERS


def _subtypes(kind: str) -> tuple[str, ...]:
    return ("*",) if kind == NOT_A_VARIANT else ("*", *SUBTYPES[kind])


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([cell(row.get(column)) for column in columns] for row in rows)
    return path
