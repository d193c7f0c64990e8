"""A result as named values: what every format that holds whole results calls its fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from helix_ray.records import Read, ReadResult, Variant
from helix_ray.scoring.strata import subtype

READ_FIELDS = tuple(name for name in Read._fields if name != "disposition")
"""The ending that a source names is the ending of its result."""

RESULT_FIELDS = tuple(field.name for field in fields(ReadResult) if field.name not in ("read", "variants"))

SIMULATED = "the answers are an emulator's, scripted: they say nothing about any LLM"


def read_record(result: ReadResult) -> dict[str, Any]:
    """Everything of a read but its scored variants, under the names of `Read` and `ReadResult`."""
    record = {name: getattr(result.read, name) for name in READ_FIELDS}
    record["truth"] = _as_objects(result.read.truth)
    record["errors"] = _as_objects(result.read.errors)
    return record | {name: getattr(result, name) for name in RESULT_FIELDS}


def variant_records(result: ReadResult) -> Iterator[dict[str, Any]]:
    """The scored variants under the names of `ScoredVariant`, and their subtype: truth, calls, baseline, each in its order."""
    for row in result.variants:
        yield {**row._asdict(), "subtype": subtype(row.type, row.ref, row.alt)}


def _as_objects(variants: Sequence[Variant] | None) -> list[dict[str, Any]] | None:
    return None if variants is None else [variant._asdict() for variant in variants]
