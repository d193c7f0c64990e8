"""``reads.parquet`` and ``variant_calls.parquet``: what `ReadsJsonl` holds, as typed columns, the variants in a table of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from helix_ray.records import ReadResult, ScoredVariant, Variant
from helix_ray.results.export.reads import Context
from helix_ray.results.export.records import READ_FIELDS, RESULT_FIELDS, read_record, variant_records
from helix_ray.results.provenance import COLUMNS

GROUP_ROWS = 5000  # of a row group, and so in memory: some 10 MB of reads with their answers

_TYPES = {
    **dict.fromkeys(("simulated", "identifiable", "mutation_detected", "exact", "baseline_exact", "capped"), pa.bool_()),
    **dict.fromkeys(("read_index", "ref_start", "pos"), pa.int64()),  # ref_start is 0-based, pos 1-based in the window
    **dict.fromkeys(("length", "attempts", "repairs", "residual_edits"), pa.int32()),
    **dict.fromkeys(("latency_ms", "queue_ms", "confidence"), pa.float64()),
    "off_by": pa.int8(),
    "checksum": pa.uint64(),
    "cost_usd": pa.decimal128(18, 12),  # as the ledger stores it
    "finished_at": pa.timestamp("us", tz="UTC"),
    "strata": pa.map_(pa.string(), pa.float64()),
    "leniency": pa.list_(pa.string()),
}
"""Columns that are not of strings."""


def _columns(*names: str) -> list[tuple[str, pa.DataType]]:
    return [(name, _TYPES.get(name, pa.string())) for name in names]


_TYPES |= dict.fromkeys(("truth", "errors"), pa.list_(pa.struct(_columns(*Variant._fields))))
READS = pa.schema(_columns(*dict.fromkeys(("simulated", *READ_FIELDS, *RESULT_FIELDS, *COLUMNS))))
VARIANT_CALLS = pa.schema(_columns("simulated", "read_index", "read_id", *ScoredVariant._fields, "subtype", *COLUMNS))


class ParquetTables:
    """Writes a row group whenever enough rows have gathered. `Context.about` stands in the metadata of both files."""

    def __init__(self, context: Context) -> None:
        self._run = context.run
        self._reads = _Table(context, "reads.parquet", READS)
        self._variants = _Table(context, "variant_calls.parquet", VARIANT_CALLS)

    def add(self, result: ReadResult) -> None:
        record = read_record(result)
        strata = record["strata"]
        record["strata"] = None if strata is None else list(strata.items())
        self._reads.add({**self._run, **record})
        for row in variant_records(result):
            self._variants.add({**self._run, "read_index": result.read.read_index, "read_id": result.read.read_id, **row})

    def close(self) -> list[Path]:
        return [self._reads.close(), self._variants.close()]


class _Table:
    def __init__(self, context: Context, name: str, schema: pa.Schema) -> None:
        self._path = context.folder / name
        self._schema = schema.with_metadata(context.about)
        self._out = context.files.enter_context(pq.ParquetWriter(self._path, self._schema, compression="zstd"))
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= GROUP_ROWS:
            self._flush()

    def close(self) -> Path:
        self._flush()
        self._out.close()
        return self._path

    def _flush(self) -> None:
        if self._rows:
            self._out.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()
