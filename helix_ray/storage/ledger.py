"""The seam between the pipeline and its ledger: what every store of final rows promises, and the values it speaks in.

Every call has a deadline of its own. A store that cannot answer *now* raises DatabaseLostError and may be asked again, since
every method is idempotent; one that will never answer raises DatabaseUnavailableError, with advice.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol, TypedDict, final

from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import (
    ApiCall,
    ControlEvent,
    ControlOutcome,
    Intent,
    JsonObject,
    PastUse,
    Read,
    ReadResult,
    Receipt,
    Refused,
    RunStatus,
    ScoredVariant,
)
from helix_ray.scoring.scores import RunScores


@dataclass(frozen=True, slots=True)
class RunRow:
    """What is known of a run before its first read."""

    run_id: str  # uuid
    name: str
    config_json: str  # canonical JSON, no secrets
    config_hash: str  # sha256 of config_json
    seed: int  # 0 .. 2**63 - 1
    versions: Mapping[str, str]
    source_checksum: str | None  # sha256 of the input files
    started_at: datetime  # UTC
    backend: str  # groq | emulator | aligner
    simulated: bool  # some answers are scripted: true for the emulator


@dataclass(frozen=True, slots=True)
class StoredRun(RunRow):
    """A run as the ledger knows it: enough to resume it. ``config_json`` is byte for byte what was stored, ``backend`` and ``simulated``
    are those of the last session.
    """

    finished_at: datetime | None
    status: RunStatus
    resumes: int
    rows: int  # final rows, of any disposition
    cost_usd: Decimal  # at most what was billed so far, over all resumes: as `Ledger.spent_usd`
    totals: JsonObject | None  # the report of the last session
    earlier_configs: tuple[JsonObject, ...]  # config, config_hash, versions, until: of the sessions before, oldest first

    @property
    def config(self) -> JsonObject:
        value: JsonObject = json.loads(self.config_json)
        return value


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A stored run in a list."""

    run_id: str
    name: str
    backend: str
    simulated: bool
    status: RunStatus
    rows: int  # final rows, of any disposition
    cost_usd: Decimal  # of its requests whose end is known
    started_at: datetime


class WriteOutcome(NamedTuple):
    """What one batch came to. Together the three name every read of the batch; each of them has a row now."""

    inserted: list[int]
    suppressed: list[int]  # had a row already: the first committed answer wins
    poisoned: list[tuple[int, str]]  # could not be stored as they were; a dead letter with the reason stands in

    @property
    def committed(self) -> list[int]:
        return sorted({*self.inserted, *self.suppressed, *(index for index, _ in self.poisoned)})


@final
@dataclass(frozen=True, slots=True)
class RunCounts:
    """The whole run, counted by the database: rows by count(*), duplicates from the keys."""

    rows: int
    by_disposition: Mapping[str, int]
    dead_letter_kinds: Mapping[str, int]  # dead letters by error kind, the commonest first
    duplicates: int  # rows beyond the first of a read_index; the key allows none
    reads_repaid: int  # reads that occur in more than one request of kind 'analysis' whose answer could be used
    possibly_billed: int  # requests whose outcome is not known
    requests: int  # that left this machine, or may have
    repairs: int  # requests that asked again because an answer could not be used
    calls_by_state: Mapping[str, int]
    http_429: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_usd: Decimal
    answered_ms: float  # the latencies of all answered requests together
    latency_ms: Mapping[str, float | None]  # p50, p95, p99 of the answering requests, as stored reads saw them
    truth_reads: int  # rows whose true variants are known
    identifiable_reads: int  # of these, rows whose truth can be told from window and read
    resent: int = 0  # requests about reads that a request before them had failed to answer; repairs are counted apart
    usage_estimated: int = 0  # answered requests without a count of tokens, at their worst case
    failures: Mapping[str, int] = field(default_factory=dict)  # requests that the API failed, by `records.failure_kind`
    truncated: int = 0  # answers that were cut off at max_completion_tokens
    reads_by_tier: Mapping[str, int] = field(default_factory=dict)  # stored reads by the service tier that answered
    left_out: Mapping[str, int] = field(default_factory=dict)  # reads that were not analysed by `records.LEFT_OUT`, the commonest first
    reads_possibly_repaid: int = 0  # besides those: in more than one request if the requests of unknown outcome were answered
    possibly_billed_usd: Decimal = Decimal(0)  # of cost_usd: the requests of unknown outcome, at their worst case


class Agreement(TypedDict):
    """The report's key: calls beside the deterministic baseline's, on stored reads without a known truth."""

    reads: int
    reads_equal: int  # both name the same set of alleles
    both: int  # alleles named by both
    only_call: int
    only_baseline: int


@dataclass(frozen=True, slots=True)
class RecentRow:
    """One read for people to look at."""

    read_index: int
    read_id: str
    contig: str
    ref_start: int | None  # 0-based
    seq: str  # its first 401 bases
    mutation_detected: bool | None
    disposition: str
    error_kind: str | None  # of a dead letter
    latency_ms: float | None
    finished_at: datetime
    ref_seq: str = ""  # as ``seq``
    cost_usd: Decimal = Decimal(0)
    variants: tuple[ScoredVariant, ...] = ()  # truths and calls, as people look at them: without event and confidence


class DeadLetter(NamedTuple):
    """A read that ended without an answer."""

    read_index: int
    read_id: str
    error_kind: str | None
    error: str | None
    attempts: int
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """What `check` found out about the store."""

    kind: str
    version: str
    schema_version: int | None  # None: not migrated yet
    details: Mapping[str, str] = field(default_factory=dict)


class Ledger(Protocol):
    """Where final rows live. One instance is used by one event loop; its calls are serialised."""

    async def check(self) -> LedgerFacts:
        """Version, rights, pooling and writability; DatabaseUnavailableError says what to do. Changes nothing."""

    async def migrate(self) -> int:
        """Brings the schema up to date, safely beside other processes doing the same; the version reached."""

    async def start_run(self, run: RunRow) -> None:
        """Idempotent. InvariantError if the id belongs to a run of another configuration."""

    async def runs(self, named: str | None = None) -> list[RunSummary]:
        """Newest first. ``named``: those of this name, and those whose id begins so."""

    async def load_run(self, run_id: str) -> StoredRun | None: ...

    async def resume_run(self, run_id: str, row: RunRow) -> None:
        """Status running again, with ``row``'s configuration and versions; where they differ, the former ones are kept.

        The run's start and its input stay what they were. StartError if the run is not here, RunBusyError while another
        process holds its claim.
        """

    async def claim(self, run_id: str) -> None:
        """From now until `aclose`, or the end of this process, no other process can claim or resume the run.

        Waits some seconds for a predecessor that is just ending, then RunBusyError. A connection that was lost is claimed again
        with the next one; while that is refused, calls raise DatabaseLostError.
        """

    async def finish_run(self, run_id: str, status: RunStatus, totals: JsonObject) -> None: ...

    async def done_ranges(self, run_id: str) -> IndexRanges:
        """Indices that have their row."""

    async def write_batch(self, run_id: str, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> WriteOutcome:
        """Stores a batch in one transaction; returns after commit. Repeating it changes nothing.

        Receipts whose reads all have rows then are deleted with it.
        """

    async def counts(self, run_id: str) -> RunCounts: ...

    async def intend(
        self, run_id: str, intents: Sequence[Intent], receipts: Sequence[Receipt] = (), unsaved: Collection[int] = ()
    ) -> list[Refused]:
        """Puts receipts on record, then the requests that `send_check.keep_back` lets pass; returns after commit.

        A call or a receipt that is known already stays as it is; a receipt whose reads all have rows is not kept. ``unsaved``: reads
        whose result waits for its commit. Of a refused request nothing is on record.
        """

    async def on_record(self, run_id: str, call_ids: Sequence[str]) -> list[str]:
        """Those of these requests that are on record."""

    async def authorise(self, run_id: str, total_usd: Decimal) -> Decimal:
        """Raises ``reserved_usd``, what the run's throttle may have spent or reserved, to this; what it is then."""

    async def reserved_usd(self, run_id: str) -> Decimal:
        """What was authorised. 0 for a run that is not here."""

    async def close_open_calls(self, run_id: str) -> Decimal:
        """Requests without an end become possibly billed at their worst case, and `reserved_usd` what is spent then, which is
        returned. Receipts whose reads all have rows are deleted. Precondition: no analyzer sends for this run any more.
        """

    async def spent_usd(self, run_id: str, but_incarnation: str | None = None) -> Decimal:
        """At most what the run's requests were billed so far, over all resumes: those of unknown end at their worst case.

        Without the requests by permits of the throttle's incarnation ``but_incarnation``.
        """

    async def taken(self, model: str, provider: str | None, simulated: bool) -> list[PastUse]:
        """What requests of the last 24 hours took from this model's limits at this provider, over all runs in this store whose answers are
        ``simulated`` or not, the youngest first: one by one for two minutes, then by the minute.
        """

    async def scores(self, run_id: str) -> RunScores:
        """What `RunScores.add` over every result of the run adds up to, dead letters included.

        Reads from before schema version 3 count by their matches, with the level ``unknown`` where a row does not say.
        """

    async def agreement(self, run_id: str) -> Agreement: ...

    async def read_reads(self, run_id: str, after_index: int, limit: int) -> list[Read]:
        """Up to ``limit`` finished reads above ``after_index`` (-1: from the first), by index, as their source made them.

        What is not the source's own any more (a row that was `corrupted` or `unstorable`) comes as a dead letter that says
        why, without truth and errors.
        """

    async def read_results(self, run_id: str, after_index: int, limit: int) -> list[ReadResult]:
        """As `read_reads`, but everything that is stored of a read, as it is stored: its answer, truth and variants.

        Variants come by side (truth, call, baseline), and within a side in their order. A dead letter in place of a row that was
        `corrupted` or `unstorable` has the truth that counts as missed; what could not be stored of it is escaped or left out.
        """

    async def controls(self, run_id: str) -> list[tuple[ControlEvent, ControlOutcome]]:
        """Every command of a run, oldest first."""

    async def record_control(self, run_id: str, event: ControlEvent) -> bool:
        """Whether the command is new; False: its request_id is recorded already."""

    async def mark_control(self, request_id: str, outcome: ControlOutcome) -> None: ...

    async def recent_reads(self, run_id: str, limit: int) -> list[RecentRow]:
        """The last finished first."""

    async def recent_alerts(self, run_id: str, limit: int) -> list[RecentRow]:
        """As recent_reads, only reads with a mutation detected."""

    async def aclose(self) -> None:
        """Safe twice."""
