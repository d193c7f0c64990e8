"""``variant_calls.csv``: every scored variant as a row, for a spreadsheet."""

from __future__ import annotations

import csv
from contextlib import ExitStack
from pathlib import Path

from helix_ray.records import ReadResult, ScoredVariant
from helix_ray.results.export.cells import cell
from helix_ray.results.export.record import variant_records

COLUMNS = ("Simulated", "read_index", "read_id", *ScoredVariant._fields, "subtype")


class VariantTable:
    """Truths, calls and the baseline's calls; the reads themselves are in `ReadsJsonl`."""

    def __init__(self, folder: Path, files: ExitStack, simulated: bool) -> None:
        self._path = folder / "variant_calls.csv"
        self._out = files.enter_context(self._path.open("w", encoding="utf-8", newline=""))
        self._writer = csv.writer(self._out, lineterminator="\n")
        self._writer.writerow(COLUMNS)
        self._simulated = simulated

    def add(self, result: ReadResult) -> None:
        for row in variant_records(result):
            self._writer.writerow(map(cell, (self._simulated, result.read.read_index, result.read.read_id, *row.values())))

    def close(self) -> list[Path]:
        self._out.close()
        return [self._path]
