"""Results as an export, and what its files hold as results again."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pysam

from helix_ray.config.loading import parse_config
from helix_ray.records import Disposition, Read, ReadResult, ScoredVariant, Variant
from helix_ray.results.export import Export, Format, Manifest, Origin
from helix_ray.results.export.records import READ_FIELDS, RESULT_FIELDS

ANALYSED = (Disposition.STORED, Disposition.DEAD_LETTER)
SYNTHETIC = parse_config({"source": {"count": 3}}, "test")
ORIGIN = Origin(SYNTHETIC, "2", "run-1", simulated=True)


def exported(
    folder: Path, results: Iterable[ReadResult], *formats: Format, origin: Origin = ORIGIN, on_reference: bool = False
) -> Manifest:
    with Export(folder, formats or Format.fitting(origin.config, of_run=True), origin, on_reference=on_reference) as target:
        target.add_results(results)
        return target.finish()


def records(path: Path) -> Iterator[pysam.VariantRecord]:
    with pysam.VariantFile(str(path)) as file:
        yield from file


def from_jsonl(folder: Path) -> list[ReadResult]:
    """As a reader of docs/output.md would rebuild them. JSON numbers are read as exact decimals where money is meant."""
    found = []
    for line in (folder / "reads.jsonl").read_text("ascii").splitlines():
        record = json.loads(line)
        record["checksum"] = None if record["checksum"] is None else int(record["checksum"])
        record["cost_usd"] = Decimal(str(record["cost_usd"]))
        record["finished_at"] = datetime.fromisoformat(record["finished_at"])
        found.append(_result(record, record["variants"]))
    return found


def from_parquet(folder: Path) -> list[ReadResult]:
    variants: dict[int, list[Mapping[str, Any]]] = {}
    for row in pq.read_table(folder / "variant_calls.parquet").to_pylist():
        variants.setdefault(row["read_index"], []).append(row)
    found = []
    for record in pq.read_table(folder / "reads.parquet").to_pylist():
        strata = record["strata"]
        record["strata"] = None if strata is None else dict(strata)
        found.append(_result(record, variants.get(record["read_index"], [])))
    return found


def _result(record: dict[str, Any], variants: list[Mapping[str, Any]]) -> ReadResult:
    ending = Disposition(record["disposition"])
    fields = {name: record[name] for name in READ_FIELDS}
    fields |= {name: None if record[name] is None else tuple(Variant(**row) for row in record[name]) for name in ("truth", "errors")}
    made = ReadResult(Read(**fields, disposition=None if ending in ANALYSED else ending), ending)
    own = {name: record[name] for name in RESULT_FIELDS} | {"leniency": tuple(record["leniency"]), "disposition": ending}
    return replace(made, **own, variants=[ScoredVariant(*(row[name] for name in ScoredVariant._fields)) for row in variants])
