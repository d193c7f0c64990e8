"""Results as named values, and their files: ``reads.jsonl``, ``calls_invalid.jsonl`` and ``variant_calls.csv``; and what they add up to."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from helix_ray.records import JsonObject, Read, ReadResult, ScoredVariant, Variant
from helix_ray.results.export.reads import Context, TextFile
from helix_ray.results.provenance import COLUMNS
from helix_ray.scoring.strata import subtype

READ_FIELDS = tuple(name for name in Read._fields if name != "disposition")
"""The ending that a source names is the ending of its result."""

RESULT_FIELDS = tuple(field.name for field in fields(ReadResult) if field.name not in ("read", "variants"))

SIMULATED = "the answers are an emulator's, scripted: they say nothing about any LLM"

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What OWASP's "CSV Injection" lists: a cell that begins so is a formula to Excel and LibreOffice."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


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


class JsonLines(TextFile):
    """One JSON object a line, in ASCII: control characters and other characters are escaped."""

    def write(self, record: dict[str, Any]) -> None:
        run = self.context.run
        row = {"simulated": run["simulated"], **record}
        row |= {name: run[name] for name in COLUMNS if name not in row}
        line = json.dumps(row, default=_plain, allow_nan=False, separators=(",", ":"))
        self.out.write(f"{line}\n")


class ReadsJsonl(JsonLines):
    """Everything that is known of a read, its scored variants within it: a run's results can be rebuilt from it.

    ``cost_usd`` is a number whose shortest decimal form is the exact amount. ``checksum`` has 64 bits, more than the numbers of
    most JSON readers hold, and so is a string.
    """

    name = "reads.jsonl"

    def add(self, result: ReadResult) -> None:
        record = read_record(result)
        checksum = record["checksum"]
        record["checksum"] = None if checksum is None else str(checksum)
        self.write({**record, "variants": list(variant_records(result))})


class InvalidCalls(JsonLines):
    """The calls that no VCF can hold, since they do not fit their window or each other; with the reason in words."""

    name = "calls_invalid.jsonl"

    def add(self, result: ReadResult) -> None:
        for row in variant_records(result):
            if row["side"] == "call" and row["outcome"] != "ok":
                self.write({"read_index": result.read.read_index, "read_id": result.read.read_id, **row})


def _plain(value: object) -> float | str:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value)} has no place in a record")


class VariantTable(TextFile):
    """Truths, calls and the baseline's calls as rows for a spreadsheet; the reads themselves are in `ReadsJsonl`."""

    name, newline = "variant_calls.csv", ""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._writer = csv.writer(self.out, lineterminator="\n")
        self._writer.writerow(("Simulated", "read_index", "read_id", *ScoredVariant._fields, "subtype", *COLUMNS))

    def add(self, result: ReadResult) -> None:
        run = self.context.run
        about = [run[name] for name in COLUMNS]
        for row in variant_records(result):
            self._writer.writerow(map(cell, (run["simulated"], result.read.read_index, result.read.read_id, *row.values(), *about)))


def cell(value: object) -> str | int | float | Decimal:
    r"""A cell of a CSV file: numbers as they are, None as an empty cell, truth values as true and false.

    A text that could be a formula gets a leading apostrophe; its control characters become \xNN or \uNNNN.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return value
    text = str(value)
    shown = _CONTROL.sub(lambda found: f"\\x{code:02x}" if (code := ord(found.group())) < 0x100 else f"\\u{code:04x}", text)
    return f"'{shown}" if text.startswith(_FORMULA) else shown


class ReadTally:
    """Counts of reads and of their true variants."""

    def __init__(self) -> None:
        self._reads: Counter[str] = Counter()
        self._per_read: Counter[int] = Counter()  # reads by their true variants
        self._by: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def left_out(self, read: Read) -> None:
        """A read that no file holds, since it is not as its source gave it."""
        self._by["left_out"]["unknown" if read.disposition is None else read.disposition.value] += 1

    def add(self, read: Read) -> None:
        reads = self._reads
        reads["reads"] += 1
        reads["bases"] += len(read.seq)
        reads["without_qualities"] += read.qual is None
        reads["sequencing_errors"] += len(read.errors or ())
        if read.truth is None:
            return
        reads["with_known_truth"] += 1
        reads["identifiable"] += bool(read.identifiable)
        reads["variants"] += len(read.truth)
        self._per_read[len(read.truth)] += 1
        for variant in read.truth:
            self._by["by_type"][variant.type] += 1
            self._by["by_event"][variant.event] += 1
            if variant.event == "snv" and variant.titv is not None:  # an inversion of two bases can be an SNV, always a tv
                self._by["titv"][variant.titv] += 1

    @property
    def reads(self) -> int:
        return self._reads["reads"]

    def to_json(self) -> JsonObject:
        names = ("reads", "bases", "without_qualities", "with_known_truth", "identifiable", "variants", "sequencing_errors")
        return {
            **{name: self._reads[name] for name in names},
            "variants_per_read": {str(variants): reads for variants, reads in sorted(self._per_read.items())},
            **{name: dict(sorted(self._by[name].items())) for name in ("by_type", "by_event", "titv", "left_out")},
        }


class ResultTally:
    """Counts of what became of the reads."""

    def __init__(self) -> None:
        self._endings: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()

    def add(self, result: ReadResult) -> None:
        self._endings[result.disposition.value] += 1
        self._calls.update(row.outcome or "unknown" for row in result.variants if row.side == "call")

    @property
    def reads(self) -> int:
        return self._endings.total()

    def to_json(self) -> JsonObject:
        """``calls_by_outcome``: all but ``ok`` are in no VCF."""
        return {
            "reads": self.reads,
            "by_disposition": dict(sorted(self._endings.items())),
            "calls_by_outcome": dict(sorted(self._calls.items())),
        }
