"""The one final answer for a read, with its scored variants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple

from helix_ray.records.reads import Disposition, Read


class ScoredVariant(NamedTuple):
    """One row of ``variant_calls``: a truth, a call of the model, or a call of the deterministic baseline."""

    side: str  # truth | call | baseline | error (of sequencing)
    pos: int
    ref: str
    alt: str
    type: str | None  # None when the alleles are not a variant
    event: str | None
    confidence: float | None  # 0..1; of a truth that was found: the least of the calls that tell it
    outcome: str | None  # ok | ref_mismatch | out_of_range | bad_base | ref_equals_alt | ambiguous | overlap | duplicate
    match: str | None  # TP | FP | FN; None without truth
    reason: str | None
    detail: str | None = None  # how it matched, or what kind of mistake it is; see `helix_ray.scoring.score`
    off_by: int | None = None  # of a mistake near a truth: the call's position minus the truth's, -5..5
    baseline: str | None = None  # of a truth: TP | FN by the aligner; None where it was not asked
    all_match: str | None = None  # as ``match``, if sequencing errors were truths too; None in a read without any


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The one final answer for one read: everything its row and its child rows need."""

    read: Read
    disposition: Disposition
    variants: list[ScoredVariant] = field(default_factory=list)
    mutation_detected: bool | None = None
    raw_answer: str | None = None
    model: str | None = None
    prompt: str | None = None
    prompt_hash: str | None = None
    schema_hash: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    call_id: str | None = None
    cost_usd: Decimal = Decimal(0)  # this read's share of its call
    latency_ms: float | None = None  # of the answering request
    queue_ms: float | None = None  # from admission to lease
    attempts: int = 0  # API failures that counted, plus the success
    repairs: int = 0  # how often it was asked again because an answer could not be used
    outcome: str | None = None  # ok | parse_error | schema_error | refused | truncated | api_failed | request_too_large; None: not asked
    leniency: tuple[str, ...] = ()  # what had to be overlooked to read the answer: fence | case | gap_allele | pos_text
    exact: bool | None = None  # the calls give the true sequence, whatever they are named; None without truth or answer
    baseline_exact: bool | None = None  # as exact, of the aligner's calls
    residual_edits: int | None = None  # bases that still differ between the window with the calls applied and the read
    capped: bool = False  # the search for equivalent calls was given up: they were compared by name
    error_kind: str | None = None
    error: str | None = None
    finished_at: datetime | None = None  # UTC

    def __reduce__(self) -> tuple[Callable[..., ReadResult], tuple[Any, ...]]:
        """As plain values: the classes of a read and of each variant would take most of a pickle's time."""
        return _result, (self.read.packed, self.disposition.value, list(map(tuple, self.variants)), *_REST(self))


_REST = attrgetter(*(field.name for field in fields(ReadResult)[3:]))


def _result(read: bytes, disposition: str, variants: list[tuple[Any, ...]], *rest: Any) -> ReadResult:
    return ReadResult(Read.unpacked(read), Disposition(disposition), list(map(ScoredVariant._make, variants)), *rest)
