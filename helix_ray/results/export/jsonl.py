"""``reads.jsonl`` and ``calls_invalid.jsonl``: one JSON object a line."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from helix_ray.records import ReadResult
from helix_ray.results.export.record import read_record, variant_records


class JsonLines:
    """Lines of one file, in ASCII: control characters and whatever else is not come escaped."""

    def __init__(self, path: Path, files: ExitStack, simulated: bool) -> None:
        self._path = path
        self._out = files.enter_context(path.open("w", encoding="ascii"))
        self._simulated = simulated

    def write(self, record: dict[str, Any]) -> None:
        line = json.dumps({"simulated": self._simulated, **record}, default=_plain, allow_nan=False, separators=(",", ":"))
        self._out.write(f"{line}\n")

    def close(self) -> list[Path]:
        self._out.close()
        return [self._path]


class ReadsJsonl:
    """Everything that is known of a read, its scored variants within it: a run's results can be rebuilt from it.

    ``cost_usd`` is a number whose shortest decimal form is the exact amount. ``checksum`` has 64 bits, more than the numbers of
    most JSON readers hold, and so is a string.
    """

    def __init__(self, folder: Path, files: ExitStack, simulated: bool) -> None:
        self._lines = JsonLines(folder / "reads.jsonl", files, simulated)

    def add(self, result: ReadResult) -> None:
        record = read_record(result)
        checksum = record["checksum"]
        record["checksum"] = None if checksum is None else str(checksum)
        self._lines.write({**record, "variants": list(variant_records(result))})

    def close(self) -> list[Path]:
        return self._lines.close()


class InvalidCalls:
    """The calls that no VCF can hold, since they do not fit their window or each other; with the reason in words."""

    def __init__(self, folder: Path, files: ExitStack, simulated: bool) -> None:
        self._lines = JsonLines(folder / "calls_invalid.jsonl", files, simulated)

    def add(self, result: ReadResult) -> None:
        for row in variant_records(result):
            if row["side"] == "call" and row["outcome"] != "ok":
                self._lines.write({"read_index": result.read.read_index, "read_id": result.read.read_id, **row})

    def close(self) -> list[Path]:
        return self._lines.close()


def _plain(value: object) -> float | str:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value)} has no place in a record")
