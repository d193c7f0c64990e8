"""Values of the pipeline as rows of the tables, in the column order of ``sql/writing.sql``, and rows as values again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from helix_ray.records import ApiCall, CallState, Disposition, Read, ReadResult, ScoredVariant, Variant
from helix_ray.scoring.strata import place_levels, subtype
from helix_ray.scoring.variants import trim
from helix_ray.storage.integrity import CORRUPTED, UNSTORABLE, finite, storable, storable_or_none

SqlRow = tuple[Any, ...]
Variants = Mapping[str, Sequence[Mapping[str, Any]]]

SCORED_SIDES = ("truth", "call", "baseline", "error")
"""Sides of `ReadResult.variants`, in their order."""

_ALLELES = attrgetter("pos", "ref", "alt")
_NAMED = attrgetter("pos", "ref", "alt", "type", "event")
_JUDGED = attrgetter("confidence", "outcome", "match", "reason")
_MADE = attrgetter("length", "spdi", "titv")
_MATCHED = attrgetter("detail", "off_by", "baseline", "all_match")
_NONE = (None, None, None)  # of those that have no such columns
_ANSWER = attrgetter(
    "mutation_detected", "raw_answer", "model", "prompt", "prompt_hash", "schema_hash", "system_fingerprint", "service_tier",
    "call_id", "cost_usd", "latency_ms", "queue_ms", "attempts", "error_kind", "error",
)  # fmt: skip
_JUDGEMENT = attrgetter("repairs", "exact", "baseline_exact", "residual_edits", "capped")

NOT_THE_SOURCES = (UNSTORABLE, CORRUPTED)
"""Error kinds of rows that do not hold what the source made."""


def read_row(run_id: str, result: ReadResult, now: datetime) -> SqlRow:
    """One row of ``reads``. A place that is not known (unplaced, malformed) is NULL, however the source spells it."""
    read = result.read
    return (
        run_id,
        read.read_index,
        result.disposition.value,
        read.read_id,
        read.contig or None,
        read.ref_start if read.contig and read.ref_start >= 0 else None,
        read.strand if read.contig and read.strand in ("+", "-") else None,
        read.ref_seq,
        read.seq,
        read.qual,
        read.truth is not None,
        read.identifiable,
        None if read.strata is None else json.dumps(read.strata),
        read.reason,
        *_ANSWER(result),
        result.finished_at or now,
        read.source,
        read.errors is not None,
        read.checksum,
        baseline_calls(result),
        result.outcome,
        list(result.leniency),
        *_JUDGEMENT(result),
        None if read.truth is None else len(read.truth),
        None if read.truth is None else sum(max(map(len, trim(*variant[:3])[1:])) for variant in read.truth),
    )


def baseline_calls(result: ReadResult) -> int | None:
    """How many differences the aligner found; None: it was not asked, or what it was asked about does not count."""
    asked = result.read.disposition is None and result.error_kind not in NOT_THE_SOURCES
    return sum(variant.side == "baseline" for variant in result.variants) if asked else None


def variant_rows(run_id: str, result: ReadResult) -> Iterator[SqlRow]:
    """The rows of ``variant_calls`` of one read; ordinals count from 0 within each side.

    Sequencing errors are rows of their own. What only the source knows of a truth (length, SPDI, Ti/Tv) comes from the read.
    """
    read, ordinals = result.read, dict[str, int]()
    made = {(side, *_ALLELES(one)): _MADE(one) for side, some in (("truth", read.truth), ("error", read.errors)) for one in some or ()}
    rows = result.variants
    if read.errors and not any(row.side == "error" for row in rows):  # nothing was scored
        rows = [*rows, *(ScoredVariant("error", *error[:5], None, None, None, None) for error in read.errors)]
    for variant in rows:
        ordinal = ordinals[variant.side] = ordinals.get(variant.side, -1) + 1
        details = made.get((variant.side, *_ALLELES(variant)), _NONE)
        named = subtype(variant.type, variant.ref, variant.alt)
        place = (level for _, level in place_levels(*_ALLELES(variant), read.ref_seq)) if variant.match else _NONE
        judged = (*_NAMED(variant), *_JUDGED(variant), *details, named, *_MATCHED(variant))
        yield (run_id, read.read_index, variant.side, ordinal, *judged, *place)


_CALL_COLUMNS = (
    "call_id", "run_id", "kind", "attempt", "read_indices", "state", "status", "model", "prompt_tokens", "cached_tokens",
    "completion_tokens", "worst_case_usd", "cost_usd", "latency_ms", "provider_request_id", "error_kind", "error", "created_at",
    "finished_at", "service_tier", "prompt_estimate", "max_completion_tokens", "throttle_epoch", "retry", "provider", "usage_estimated",
)  # fmt: skip


def call_row(run_id: str, call: ApiCall, now: datetime) -> dict[str, Any]:
    """One row of ``api_calls`` by column, in the order of the table.

    Its texts are diagnostics, so they are escaped rather than refused: the cost must be kept.
    """
    changed = {
        "run_id": run_id,
        "state": call.state.value,
        "model": storable(call.model, 200),
        "latency_ms": finite(call.latency_ms),
        "error": storable_or_none(call.error, 2000),
        "created_at": call.created_at or now,
        **{
            name: storable_or_none(getattr(call, name), 200) for name in ("provider_request_id", "error_kind", "throttle_epoch", "provider")
        },
    }
    return {name: changed[name] if name in changed else getattr(call, name) for name in _CALL_COLUMNS}


def call_from_row(row: Mapping[str, Any]) -> ApiCall:
    """From the JSON of a row of ``api_calls``."""
    typed = {
        "state": CallState(row["state"]),
        **{name: Decimal(str(row[name])) for name in ("worst_case_usd", "cost_usd")},
        **{name: None if row[name] is None else datetime.fromisoformat(row[name]) for name in ("created_at", "finished_at")},
    }
    return ApiCall(**{name: typed.get(name, row[name]) for name in _CALL_COLUMNS if name != "run_id"})


def read_from_row(row: Mapping[str, Any], variants: Variants) -> Read:
    """As `Ledger.read_reads` promises; ``variants``: the read's rows of ``variant_calls`` by side."""
    return _as_made(_stored_read(row, variants), row["error_kind"], row["error"])


def as_made(result: ReadResult) -> Read:
    """A result's read as `Ledger.read_reads` gives it."""
    return _as_made(result.read, result.error_kind, result.error)


def _as_made(read: Read, error_kind: str | None, error: str | None) -> Read:
    if error_kind in NOT_THE_SOURCES:
        return read._replace(truth=None, errors=None, disposition=Disposition.DEAD_LETTER, reason=error)
    return read


def result_from_row(row: Mapping[str, Any], variants: Variants) -> ReadResult:
    """As `Ledger.read_results` promises; ``variants`` as of `read_from_row`."""
    result: dict[str, Any] = {
        **{field.name: row.get(field.name) for field in fields(ReadResult)},
        "read": _stored_read(row, variants),
        "disposition": Disposition(row["disposition"]),
        "variants": [
            ScoredVariant(*(found[name] for name in ScoredVariant._fields))
            for side in SCORED_SIDES
            for found in variants[side]
            if side != "error" or found["all_match"] is not None  # else nothing was scored
        ],
        "leniency": tuple(row["leniency"]),
    }
    return ReadResult(**result)


def _stored_read(row: Mapping[str, Any], variants: Variants) -> Read:
    """A place that is not known comes as sources spell it: no contig, 0, "+"."""
    ending = Disposition(row["disposition"])
    read: dict[str, Any] = {
        **{name: row.get(name) for name in Read._fields},
        "truth": tuple(map(_variant, variants["truth"])) if row["truth_known"] else None,
        "errors": tuple(map(_variant, variants["error"])) if row["errors_known"] else None,
        "disposition": None if ending in (Disposition.STORED, Disposition.DEAD_LETTER) else ending,
        "checksum": None if row["checksum"] is None else int(row["checksum"]),
    }
    return Read(**read)


def _variant(row: Mapping[str, Any]) -> Variant:
    return Variant(*(row[name] for name in Variant._fields))


def utc_now() -> datetime:
    return datetime.now(UTC)
