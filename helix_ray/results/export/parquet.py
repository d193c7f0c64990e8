"""``reads.parquet`` and ``variant_calls.parquet``: what `ReadsJsonl` holds, as typed columns, the variants in a table of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from helix_ray.records import ReadResult
from helix_ray.results.export.reads import Context
from helix_ray.results.export.records import read_record, variant_records

GROUP_ROWS = 5000
"""Of a row group, and so in memory: some 10 MB of reads with their answers."""

_VARIANTS = pa.list_(
    pa.struct(
        {"pos": pa.int64(), "ref": pa.string(), "alt": pa.string(), "type": pa.string(), "event": pa.string(), "length": pa.int32(),
         "spdi": pa.string(), "titv": pa.string()}
    )
)  # fmt: skip

_STRING, _INT, _FLOAT, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()

READS = pa.schema(
    {
        "simulated": _BOOL, "read_index": _INT, "read_id": _STRING, "contig": _STRING,
        "ref_start": _INT,  # 0-based
        "strand": _STRING, "ref_seq": _STRING, "seq": _STRING, "qual": _STRING, "truth": _VARIANTS, "identifiable": _BOOL,
        "strata": pa.map_(_STRING, _FLOAT), "reason": _STRING, "source": _STRING, "errors": _VARIANTS, "checksum": pa.uint64(),
        "disposition": _STRING, "mutation_detected": _BOOL, "raw_answer": _STRING, "model": _STRING, "prompt": _STRING,
        "prompt_hash": _STRING, "schema_hash": _STRING, "system_fingerprint": _STRING, "service_tier": _STRING, "call_id": _STRING,
        "cost_usd": pa.decimal128(18, 12),  # as the ledger stores it
        "latency_ms": _FLOAT, "queue_ms": _FLOAT, "attempts": pa.int32(), "repairs": pa.int32(), "outcome": _STRING,
        "leniency": pa.list_(_STRING), "exact": _BOOL, "baseline_exact": _BOOL, "residual_edits": pa.int32(), "capped": _BOOL,
        "error_kind": _STRING, "error": _STRING, "finished_at": pa.timestamp("us", tz="UTC"),
    }
)  # fmt: skip

VARIANT_CALLS = pa.schema(
    {
        "simulated": _BOOL, "read_index": _INT, "read_id": _STRING, "side": _STRING,
        "pos": _INT,  # 1-based in the window
        "ref": _STRING, "alt": _STRING, "type": _STRING, "event": _STRING, "confidence": _FLOAT, "outcome": _STRING, "match": _STRING,
        "reason": _STRING, "detail": _STRING, "off_by": pa.int8(), "baseline": _STRING, "subtype": _STRING,
    }
)  # fmt: skip


class ParquetTables:
    """Writes a row group whenever enough rows have gathered. `Context.about` stands in the metadata of both files."""

    def __init__(self, context: Context) -> None:
        self._simulated = context.simulated
        self._reads = _Table(context, "reads.parquet", READS)
        self._variants = _Table(context, "variant_calls.parquet", VARIANT_CALLS)

    def add(self, result: ReadResult) -> None:
        record = read_record(result)
        strata = record["strata"]
        record["strata"] = None if strata is None else list(strata.items())
        self._reads.add({"simulated": self._simulated, **record})
        for row in variant_records(result):
            own = {"simulated": self._simulated, "read_index": result.read.read_index, "read_id": result.read.read_id}
            self._variants.add(own | row)

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
