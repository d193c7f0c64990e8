"""The values that travel through the pipeline. Plain data, no behaviour beyond reshaping.

Coordinates follow VCF: a variant's ``pos`` is 1-based within the reference window (``ref_seq``), alleles are upper-case
ACGT(N), indels carry one anchor base. ``ref_start`` is 0-based on the contig, so a genomic VCF position is
``ref_start + pos``. Money is ``Decimal`` US dollars; durations carry their unit in the name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple


class Disposition(StrEnum):
    """How a finished read ended: the ``disposition`` of its one final row."""

    STORED = "stored"
    DEAD_LETTER = "dead_letter"
    UNPLACED = "unplaced"
    FILTERED = "filtered"
    MALFORMED = "malformed"


class RunStatus(StrEnum):
    RUNNING = "running"
    COMPLETE = "complete"
    LIMITED = "limited"
    REFUSED = "refused"
    STOPPED = "stopped"
    FAILED = "failed"


class Variant(NamedTuple):
    """One small variant in VCF form, relative to a read's reference window."""

    pos: int  # 1-based in the window
    ref: str
    alt: str
    type: str  # SNV | MNV | INS | DEL | DELINS: a function of the alleles
    event: str  # what the generator did: snv | mnv | ins | del | dup | inv | complex
    length: int | None = None  # changed bases: of the MNV, inserted, deleted; of a DELINS the longer allele's. None: not counted
    spdi: str | None = None  # contig:start:deleted:inserted, 0-based, over the whole ambiguous region (Holmes 2020, PMC7523648)
    titv: str | None = None  # ti | tv of an SNV


class Read(NamedTuple):
    """One read beside its reference window.

    ``truth`` is None when unknown (real data) and empty when the read is known to be clean. ``disposition`` is None for a
    read to analyse; otherwise it already names the ending (unplaced, filtered, malformed) that ``reason`` explains, and
    the read passes every stage untouched on its way to its row. ``read_id`` is for people and never reaches a prompt.

    ``errors`` are sequencing errors: a layer of their own, never part of the truth. Truth and errors together, applied to
    ``ref_seq``, give ``seq`` (N apart, which matches anything).
    """

    read_index: int
    read_id: str
    contig: str
    ref_start: int
    strand: str  # "+" | "-"
    ref_seq: str
    seq: str  # on the reference's strand
    qual: str | None  # Phred+33, as long as seq
    truth: tuple[Variant, ...] | None
    identifiable: bool | None
    strata: dict[str, float] | None
    disposition: Disposition | None
    reason: str | None
    source: str = "synthetic"  # synthetic | fasta | fastq | pairs
    errors: tuple[Variant, ...] | None = None  # None when unknown
    checksum: int | None = None  # 64 bits over ref_seq, seq and truth, taken where the read was made; None: not taken


def record_id(run_id: str, read: Read) -> str:
    """A read's name among all reads of all runs, stable across restarts and resumes: ``{run}/{source}/{index, 12 digits}``."""
    return f"{run_id}/{read.source}/{read.read_index:012d}"


class ReadBatch(NamedTuple):
    """Reads as columns of equal length, in the order of `Read`'s fields: what crosses actor boundaries."""

    read_index: list[int]
    read_id: list[str]
    contig: list[str]
    ref_start: list[int]
    strand: list[str]
    ref_seq: list[str]
    seq: list[str]
    qual: list[str | None]
    truth: list[tuple[Variant, ...] | None]
    identifiable: list[bool | None]
    strata: list[dict[str, float] | None]
    disposition: list[Disposition | None]
    reason: list[str | None]
    source: list[str]
    errors: list[tuple[Variant, ...] | None]
    checksum: list[int | None]

    @classmethod
    def from_rows(cls, rows: list[Read]) -> ReadBatch:
        return cls(*map(list, zip(*rows, strict=True))) if rows else cls(*([] for _ in cls._fields))

    def rows(self) -> list[Read]:
        return [Read._make(row) for row in zip(*self, strict=True)]

    @property
    def size(self) -> int:
        """Number of reads (``len()`` is taken by the tuple of columns)."""
        return len(self.read_index)


class ScoredVariant(NamedTuple):
    """One row of ``variant_calls``: a truth, a call of the model, or a call of the deterministic baseline."""

    side: str  # truth | call | baseline | error (of sequencing)
    pos: int
    ref: str
    alt: str
    type: str | None  # None when the alleles are not a variant
    event: str | None
    confidence: float | None  # 0..1
    outcome: str | None  # ok | ref_mismatch | out_of_range | bad_base | ref_equals_alt | overlap | duplicate
    match: str | None  # TP | FP | FN; None without truth
    reason: str | None
    detail: str | None = None  # how it matched, or what kind of mistake it is; see `helix_ray.scoring.score`
    off_by: int | None = None  # of a mistake near a truth: the call's position minus the truth's, -5..5
    baseline: str | None = None  # of a truth: TP | FN by the aligner; None where it was not asked


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


class CallState(StrEnum):
    """What became of one request to the API. Drawn in docs/output.md."""

    INTENDED = "intended"
    SENT = "sent"
    ANSWERED = "answered"
    FAILED = "failed"
    POSSIBLY_BILLED = "possibly_billed"


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One row of ``api_calls``: one request, whatever its outcome. Cost is recorded here and nowhere else."""

    call_id: str  # uuid
    kind: str  # analysis | repair | probe
    attempt: int  # 1-based
    read_indices: list[int]
    state: CallState
    status: int | None  # HTTP status; None when no answer came
    model: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    worst_case_usd: Decimal = Decimal(0)
    cost_usd: Decimal = Decimal(0)
    latency_ms: float | None = None
    provider_request_id: str | None = None
    error_kind: str | None = None
    error: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    service_tier: str | None = None  # on_demand | flex: as sent
    prompt_estimate: int = 0  # tokens; with max_completion_tokens, what its permit reserved
    max_completion_tokens: int = 0
    throttle_epoch: str | None = None  # the incarnation of the throttle that gave its permit
    retry: bool = False  # about a read that the API had failed to answer: bounded by retry.max_share


def failure_kind(state: CallState, status: int | None, error_kind: str | None) -> str | None:
    """What kind of failure of the API a request met, by its row; None: none. Neither a 429 is one, nor what we gave up ourselves.

    ``capacity``: 498, no room in the flex tier. ``overloaded``: 503. ``server``: every other 5xx. ``transport``: refused, lost or
    late. ``unusable``: a 200 that was no completion. ``rejected``: every other 4xx.
    """
    if state is CallState.ANSWERED or error_kind is None or error_kind in NOT_THE_API or status == 429:
        return None
    if status is None:
        return "transport"
    return {498: "capacity", 503: "overloaded"}.get(status) or ("server" if status >= 500 else "rejected" if status >= 400 else "unusable")


FAILURE_KINDS = {
    "capacity": "no room in the flex tier (498)",
    "overloaded": "API over capacity (503)",
    "server": "API failed (other 5xx)",
    "transport": "no connection, lost or late",
    "unusable": "an answer that was none",
    "rejected": "request rejected (other 4xx)",
}
"""What `failure_kind` tells apart, in words for people."""
NOT_THE_API = frozenset({"abandoned", "unsettled", "not_sent"})
"""Error kinds of requests whose end nobody waited for (we were stopped, or died), or whose permit was withdrawn."""


class Taken(NamedTuple):
    """What one request, or those of one minute, took from the limits of a model, as the ledger knows it."""

    age_s: float  # since it was charged; of several the youngest's
    requests: int
    prompt_tokens: int  # not cached
    completion_tokens: int  # of requests without a known end: all that they may use
    service_tier: str  # on_demand | flex


@dataclass(frozen=True, slots=True)
class TokenUsage:
    prompt: int
    cached: int
    completion: int


class Action(StrEnum):
    """What a person may ask of a live run. Every target is absolute, so that repeating a command changes nothing."""

    PAUSE = "pause"
    RESUME = "resume"
    RATE = "rate"  # value: reads/s, None lifts the limit
    SPIKE = "spike"  # value: reads/s (None: as fast as the source can), seconds: how long
    BUDGET = "budget"  # value: US dollars for the whole run (None: as configured)
    CONCURRENCY = "concurrency"  # value: requests in flight of each analyzer (None: as configured)
    DRAIN = "drain"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Command:
    request_id: str  # uuid; the same id is answered, not repeated
    action: Action
    value: float | None = None
    seconds: float | None = None
    actor: str = "unknown"  # who asks: "cli:alice", "page"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    request_id: str
    accepted: bool
    version: int  # of the desired state that now holds this command
    message: str  # what was done, or why not, in words
    value_from: str | None = None
    value_to: str | None = None


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What control wants of every actor: absolute, versioned, adopted by each actor at its next one-second tick."""

    version: int = 0
    paused: bool = False
    rate_per_s: float | None = None
    spike_rate_per_s: float | None = None
    spike_until: float | None = None  # Unix seconds; None: no spike
    ending: str | None = None  # None | "drain" | "stop"
    max_cost_usd: float | None = None  # of the whole run, with all its resumes; None: as configured
    requests_in_flight: int | None = None  # of each analyzer; None: as configured


JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ControlEvent:
    """A command as it was asked for, before anything is done about it."""

    request_id: str
    action: str
    actor: str
    asked_at: datetime
    reason: str | None = None
    value_from: str | None = None
    value_to: str | None = None


@dataclass(frozen=True, slots=True)
class ControlOutcome:
    """What became of a command. A None leaves what is stored."""

    accepted: bool | None = None
    message: str | None = None
    value_from: str | None = None
    value_to: str | None = None
    acknowledged_at: datetime | None = None
    in_effect_at: datetime | None = None
