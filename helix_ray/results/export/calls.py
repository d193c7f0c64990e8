"""``calls.vcf.gz``: what the model calls, as any caller's output."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path

from helix_ray.records import ReadResult, ScoredVariant
from helix_ray.results.export.coordinates import Coordinates
from helix_ray.results.export.record import SIMULATED
from helix_ray.results.export.vcf import VcfFile, encoded
from helix_ray.storage.rows import NOT_THE_SOURCES

INFO = (
    '##INFO=<ID=TYPE,Number=1,Type=String,Description="SNV, MNV, INS, DEL or DELINS: a function of the alleles">',
    '##INFO=<ID=RID,Number=1,Type=String,Description="The read that it was called in">',
    '##INFO=<ID=CONF,Number=1,Type=Float,Description="The model\'s confidence, 0 to 1; QUAL is made of it">',
    '##INFO=<ID=MATCH,Number=1,Type=String,Description="TP or FP; missing where the truth is not known">',
    '##INFO=<ID=DETAIL,Number=1,Type=String,Description="TP: allele or haplotype; FP: error (of sequencing), allele, near, invented">',
    '##INFO=<ID=OFF_BY,Number=1,Type=Integer,Description="Bases from the missed truth that was probably meant, -5 to 5">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Haploid genotype">',
)

MAX_QUAL = 99.0
"""Phred. A confidence of 1 would be infinite."""


class CallsVcf:
    """The calls that fit their window; those that do not are `InvalidCalls`."""

    def __init__(self, folder: Path, files: ExitStack, coordinates: Coordinates, header: list[str], simulated: bool) -> None:
        self._coordinates = coordinates
        lines = [*header, *simulated_header(simulated), *INFO]
        self._file = VcfFile(folder / "calls.vcf.gz", files, lines, ["QUERY"], coordinates)

    def add(self, result: ReadResult) -> None:
        if not has_window(result):
            return
        self._file.declare_of(result.read)
        place = self._coordinates.place(result.read)
        for row in sorted(valid_calls(result), key=lambda row: row[1:4]):
            self._file.write(place, row.pos, row.ref, row.alt, info(result, row), qual=phred(row.confidence))

    def close(self) -> list[Path]:
        return self._file.close()


def has_window(result: ReadResult) -> bool:
    """Whether the read was to be analysed and is as its source made it: else positions in its window mean nothing."""
    return result.read.disposition is None and result.error_kind not in NOT_THE_SOURCES


def valid_calls(result: ReadResult) -> list[ScoredVariant]:
    return [row for row in result.variants if row.side == "call" and row.outcome == "ok"]


def phred(confidence: float | None) -> str:
    """-10 log10(1 - ``confidence``), 0 to `MAX_QUAL` in hundredths; missing as VCF writes it."""
    if confidence is None:
        return "."
    wrong = 1 - confidence
    return f"{min(MAX_QUAL, max(0.0, -10 * math.log10(wrong))) if wrong > 0 else MAX_QUAL:.2f}"


def simulated_header(simulated: bool) -> list[str]:
    return [f"##simulated={SIMULATED}"] if simulated else []


def info(result: ReadResult, row: ScoredVariant) -> str:
    fields: dict[str, object] = {"TYPE": row.type, "RID": encoded(result.read.read_id), "CONF": row.confidence}
    fields |= {"MATCH": row.match, "DETAIL": row.detail, "OFF_BY": row.off_by}
    return ";".join(f"{key}={value}" for key, value in fields.items() if value is not None)
