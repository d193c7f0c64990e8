"""``reads.parquet`` and ``variant_calls.parquet``: what `ReadsJsonl` holds, as typed columns, the variants in a table of their own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from helix_ray.records import ReadResult
from helix_ray.results.export.record import read_record, variant_records

GROUP_ROWS = 5000
"""Of a row group, and so in memory: some 10 MB of reads with their answers."""

_VARIANTS = pa.list_(
    pa.struct(
        {"pos": pa.int64(), "ref": pa.string(), "alt": pa.string(), "type": pa.string(), "event": pa.string(), "length": pa.int32(),
         "spdi": pa.string(), "titv": pa.string()}
    )
)  # fmt: skip

READS = pa.schema(
    {
        "simulated": pa.bool_(),
        "read_index": pa.int64(),
        "read_id": pa.string(),
        "contig": pa.string(),
        "ref_start": pa.int64(),  # 0-based
        "strand": pa.string(),
        "ref_seq": pa.string(),
        "seq": pa.string(),
        "qual": pa.string(),
        "truth": _VARIANTS,
        "identifiable": pa.bool_(),
        "strata": pa.map_(pa.string(), pa.float64()),
        "reason": pa.string(),
        "source": pa.string(),
        "errors": _VARIANTS,
        "checksum": pa.uint64(),
        "disposition": pa.string(),
        "mutation_detected": pa.bool_(),
        "raw_answer": pa.string(),
        "model": pa.string(),
        "prompt": pa.string(),
        "prompt_hash": pa.string(),
        "schema_hash": pa.string(),
        "system_fingerprint": pa.string(),
        "service_tier": pa.string(),
        "call_id": pa.string(),
        "cost_usd": pa.decimal128(18, 12),  # as the ledger stores it
        "latency_ms": pa.float64(),
        "queue_ms": pa.float64(),
        "attempts": pa.int32(),
        "repairs": pa.int32(),
        "outcome": pa.string(),
        "leniency": pa.list_(pa.string()),
        "exact": pa.bool_(),
        "baseline_exact": pa.bool_(),
        "residual_edits": pa.int32(),
        "capped": pa.bool_(),
        "error_kind": pa.string(),
        "error": pa.string(),
        "finished_at": pa.timestamp("us", tz="UTC"),
    }
)

VARIANT_CALLS = pa.schema(
    {
        "simulated": pa.bool_(),
        "read_index": pa.int64(),
        "read_id": pa.string(),
        "side": pa.string(),
        "pos": pa.int64(),  # 1-based in the window
        "ref": pa.string(),
        "alt": pa.string(),
        "type": pa.string(),
        "event": pa.string(),
        "confidence": pa.float64(),
        "outcome": pa.string(),
        "match": pa.string(),
        "reason": pa.string(),
        "detail": pa.string(),
        "off_by": pa.int8(),
        "baseline": pa.string(),
        "subtype": pa.string(),
    }
)


class ParquetTables:
    """Writes a row group whenever enough rows have gathered. ``about`` stands in the metadata of both files."""

    def __init__(self, folder: Path, files: ExitStack, simulated: bool, about: Mapping[str, str]) -> None:
        self._simulated = simulated
        self._reads = _Table(folder / "reads.parquet", files, READS.with_metadata(dict(about)))
        self._variants = _Table(folder / "variant_calls.parquet", files, VARIANT_CALLS.with_metadata(dict(about)))

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
    def __init__(self, path: Path, files: ExitStack, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._out = files.enter_context(pq.ParquetWriter(path, schema, compression="zstd"))
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
