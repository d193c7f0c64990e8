"""Values of the pipeline as rows of the tables, in the column order of ``sql/writing.sql``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from helix_ray.records import ApiCall, ReadResult
from helix_ray.storage.escaping import storable, storable_or_none

Row = tuple[Any, ...]


def read_row(run_id: str, result: ReadResult, now: datetime) -> Row:
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
        result.mutation_detected,
        result.raw_answer,
        result.model,
        result.prompt,
        result.prompt_hash,
        result.schema_hash,
        result.system_fingerprint,
        result.service_tier,
        result.call_id,
        result.cost_usd,
        result.latency_ms,
        result.queue_ms,
        result.attempts,
        result.error_kind,
        result.error,
        result.finished_at or now,
    )


def variant_rows(run_id: str, result: ReadResult) -> Iterator[Row]:
    """The rows of ``variant_calls`` of one read; ordinals count from 0 within each side."""
    ordinals: dict[str, int] = {}
    for variant in result.variants:
        ordinal = ordinals[variant.side] = ordinals.get(variant.side, -1) + 1
        yield (
            run_id,
            result.read.read_index,
            variant.side,
            ordinal,
            variant.pos,
            variant.ref,
            variant.alt,
            variant.type,
            variant.event,
            variant.confidence,
            variant.outcome,
            variant.match,
            variant.reason,
        )


def call_row(run_id: str, call: ApiCall, now: datetime) -> Row:
    """One row of ``api_calls``. Its texts are diagnostics, so they are escaped rather than refused: the cost must be kept."""
    return (
        call.call_id,
        run_id,
        call.kind,
        call.attempt,
        call.read_indices,
        call.state.value,
        call.status,
        storable(call.model, 200),
        call.prompt_tokens,
        call.cached_tokens,
        call.completion_tokens,
        call.worst_case_usd,
        call.cost_usd,
        call.latency_ms if call.latency_ms is not None and math.isfinite(call.latency_ms) else None,
        storable_or_none(call.provider_request_id, 200),
        storable_or_none(call.error_kind, 200),
        storable_or_none(call.error, 2000),
        call.created_at or now,
        call.finished_at,
    )


def utc_now() -> datetime:
    return datetime.now(UTC)
