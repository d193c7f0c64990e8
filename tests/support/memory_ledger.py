"""A ledger in memory that keeps every promise of the real one but durability."""

import json
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from helix_ray.errors import InvariantError, StartError
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import (
    ApiCall,
    CallState,
    ControlEvent,
    ControlOutcome,
    Disposition,
    Intent,
    JsonObject,
    PastUse,
    Read,
    ReadResult,
    Receipt,
    Refused,
    RunStatus,
    StoredAnswer,
    failure_kind,
)
from helix_ray.scoring.scores import RunScores
from helix_ray.storage.integrity import as_unstorable, result_problem
from helix_ray.storage.ledger import Agreement, LedgerFacts, RecentRow, RunCounts, RunRow, RunSummary, StoredRun, WriteOutcome
from helix_ray.storage.rows import as_made
from helix_ray.storage.send_check import Answer, Facts, is_needed, keep_back
from support.memory_money import at_most, is_open, left, taken

_FORWARD = (CallState.INTENDED, CallState.SENT, CallState.POSSIBLY_BILLED, CallState.FAILED, CallState.ANSWERED)


class _Run:
    def __init__(self, row: RunRow) -> None:
        self.row = row
        self.status = RunStatus.RUNNING
        self.simulated = row.simulated
        self.earlier_configs: list[JsonObject] = []
        self.finished_at: datetime | None = None
        self.resumes = 0
        self.totals: JsonObject | None = None
        self.reads: dict[int, ReadResult] = {}
        self.calls: dict[str, ApiCall] = {}
        self.receipts: dict[str, Receipt] = {}
        self.unusable: set[tuple[str, int]] = set()
        self.reserved_usd = Decimal(0)


class MemoryLedger:
    """`Ledger` for tests. Put exceptions into ``failures``: each write raises the next one, before or after its commit."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.fail_after_commit = False
        self.batches: list[list[int]] = []  # the indices of each write that committed
        self._runs: dict[str, _Run] = {}
        self._controls: dict[str, tuple[str, ControlEvent, ControlOutcome]] = {}

    async def check(self) -> LedgerFacts:
        return LedgerFacts("memory", "1", 1)

    async def migrate(self) -> int:
        return 1

    async def start_run(self, run: RunRow) -> None:
        known = self._runs.setdefault(run.run_id, _Run(run))
        if known.row.config_hash != run.config_hash:
            raise InvariantError(f"run {run.run_id} exists already, with another configuration")

    async def runs(self, named: str | None = None) -> list[RunSummary]:
        found = [run for run in self._runs.values() if named is None or run.row.name == named or run.row.run_id.startswith(named.lower())]
        return [
            RunSummary(
                run.row.run_id, run.row.name, run.row.backend, run.simulated, run.status, len(run.reads),
                sum((call.cost_usd for call in run.calls.values()), Decimal(0)), run.row.started_at,
            )
            for run in sorted(found, key=lambda run: run.row.started_at, reverse=True)
        ]  # fmt: skip

    async def load_run(self, run_id: str) -> StoredRun | None:
        run = self._runs.get(run_id)
        if run is None:
            return None
        row = run.row
        return StoredRun(
            run_id=row.run_id,
            name=row.name,
            config_json=row.config_json,
            config_hash=row.config_hash,
            seed=row.seed,
            versions=dict(row.versions),
            source_checksum=row.source_checksum,
            started_at=row.started_at,
            finished_at=run.finished_at,
            status=run.status,
            resumes=run.resumes,
            rows=len(run.reads),
            cost_usd=_spent(run),
            totals=run.totals,
            backend=row.backend,
            simulated=run.simulated,
            earlier_configs=tuple(run.earlier_configs),
        )

    async def resume_run(self, run_id: str, row: RunRow) -> None:
        if run_id not in self._runs:
            raise StartError(f"run {run_id} is not in this ledger")
        run = self._runs[run_id]
        before = run.row
        if (before.config_json, dict(before.versions)) != (row.config_json, dict(row.versions)):
            told = {"config": json.loads(before.config_json), "config_hash": before.config_hash, "versions": dict(before.versions)}
            run.earlier_configs.append({**told, "until": datetime.now(UTC).isoformat()})
        run.row = replace(row, run_id=run_id, source_checksum=before.source_checksum, started_at=before.started_at)
        run.simulated = run.simulated or row.simulated
        run.status, run.finished_at, run.resumes = RunStatus.RUNNING, None, run.resumes + 1

    async def claim(self, run_id: str) -> None:
        """Nothing: a memory is in one process, and there is nobody to claim it from."""

    async def finish_run(self, run_id: str, status: RunStatus, totals: JsonObject) -> None:
        run = self._run(run_id)
        run.status, run.totals, run.finished_at = status, dict(totals), datetime.now(UTC)

    async def done_ranges(self, run_id: str) -> IndexRanges:
        return IndexRanges((index, index + 1) for index in (self._runs[run_id].reads if run_id in self._runs else ()))

    async def write_batch(self, run_id: str, results: Sequence[ReadResult], calls: Sequence[ApiCall]) -> WriteOutcome:
        if self.failures and not self.fail_after_commit:
            raise self.failures.pop(0)
        run, outcome = self._run(run_id), WriteOutcome([], [], [])
        for call in calls:
            known = run.calls.get(call.call_id)
            if known is None or _FORWARD.index(call.state) > _FORWARD.index(known.state):
                run.calls[call.call_id] = replace(call, created_at=call.created_at or datetime.now(UTC))
        first_of = {result.read.read_index: result for result in reversed(results)}
        for index, result in sorted(first_of.items()):
            problem = result_problem(result)
            if index in run.reads:
                outcome.suppressed.append(index)
                continue
            sound = as_unstorable(result, problem) if problem else result
            run.reads[index] = replace(sound, finished_at=sound.finished_at or datetime.now(UTC))
            if problem:
                outcome.poisoned.append((index, problem))
            else:
                outcome.inserted.append(index)
        _drop_receipts(run)
        self.batches.append(sorted(first_of))
        if self.failures:
            raise self.failures.pop(0)
        return outcome

    async def counts(self, run_id: str) -> RunCounts:
        run = self._run(run_id)
        by_state = Counter(call.state.value for call in run.calls.values())
        answered = Counter(
            index
            for call in run.calls.values()
            if call.state is CallState.ANSWERED and call.kind == "analysis" and call.error_kind in (None, "foreign_ids")
            for index in set(call.read_indices)
        )
        unknown = Counter(i for call in run.calls.values() if call.state is CallState.POSSIBLY_BILLED for i in set(call.read_indices))
        stored = (result for result in run.reads.values() if result.disposition is Disposition.STORED)
        return RunCounts(
            rows=len(run.reads),
            by_disposition=dict(Counter(result.disposition.value for result in run.reads.values())),
            left_out=dict(
                Counter(
                    "malformed" if read.disposition is Disposition.MALFORMED else str(read.reason)
                    for read in (result.read for result in run.reads.values())
                    if read.disposition is not None
                ).most_common()
            ),
            dead_letter_kinds=_dead_letter_kinds(run),
            duplicates=0,
            reads_repaid=sum(count > 1 for count in answered.values()),
            possibly_billed=by_state["possibly_billed"],
            requests=sum(map(left, run.calls.values())),
            repairs=sum(call.kind == "repair" for call in run.calls.values()),
            calls_by_state=dict(by_state),
            http_429=sum(call.status == 429 for call in run.calls.values()),
            prompt_tokens=sum(call.prompt_tokens for call in run.calls.values()),
            cached_tokens=sum(call.cached_tokens for call in run.calls.values()),
            completion_tokens=sum(call.completion_tokens for call in run.calls.values()),
            cost_usd=_cost(run),
            answered_ms=sum(call.latency_ms or 0.0 for call in run.calls.values() if call.state is CallState.ANSWERED),
            latency_ms=_percentiles([result.latency_ms for result in stored if result.latency_ms is not None]),
            truth_reads=sum(result.read.truth is not None for result in run.reads.values()),
            identifiable_reads=sum(result.read.truth is not None and bool(result.read.identifiable) for result in run.reads.values()),
            usage_estimated=sum(call.usage_estimated for call in run.calls.values()),
            resent=sum(
                call.retry and call.state is not CallState.INTENDED and (call.state is not CallState.FAILED or call.status is not None)
                for call in run.calls.values()
            ),
            failures=dict(Counter(kind for call in run.calls.values() if (kind := _failure(call)) is not None)),
            truncated=sum((call.state, call.error_kind) == (CallState.ANSWERED, "truncated") for call in run.calls.values()),
            reads_possibly_repaid=sum(answered[i] <= 1 and answered[i] + count > 1 for i, count in unknown.items()),
            possibly_billed_usd=sum((c.cost_usd for c in run.calls.values() if c.state is CallState.POSSIBLY_BILLED), Decimal(0)),
            reads_by_tier=dict(
                Counter(
                    result.service_tier
                    for result in run.reads.values()
                    if result.disposition is Disposition.STORED and result.service_tier is not None
                )
            ),
        )

    async def intend(
        self, run_id: str, intents: Sequence[Intent], receipts: Sequence[Receipt] = (), unsaved: Collection[int] = ()
    ) -> list[Refused]:
        run, refused = self._run(run_id), []
        for receipt in receipts:
            if is_needed(receipt.read_indices, run.reads):
                run.receipts.setdefault(receipt.call_id, receipt)
        stored = sorted(run.receipts.values(), key=lambda receipt: receipt.arrived_at)
        facts = Facts(
            run.reads,
            unsaved,
            {it.call_id: Answer(it.read_indices, [i for i in it.read_indices if (it.call_id, i) in run.unusable]) for it in stored},
        )
        for call, unusable in intents:
            held = keep_back(call.read_indices, unusable, facts)
            if held is None:
                run.calls.setdefault(call.call_id, replace(call, created_at=call.created_at or datetime.now(UTC)))
                run.unusable.update(unusable)
            else:
                answers = [(index, StoredAnswer(run.calls[name], run.receipts[name])) for index, name in held.answers]
                refused.append(Refused(call.call_id, held.done, held.unsaved, answers))
        return refused

    async def authorise(self, run_id: str, total_usd: Decimal) -> Decimal:
        run = self._run(run_id)
        run.reserved_usd = max(run.reserved_usd, total_usd)
        return run.reserved_usd

    async def on_record(self, run_id: str, call_ids: Sequence[str]) -> list[str]:
        return [call_id for call_id in call_ids if call_id in self._run(run_id).calls]

    async def reserved_usd(self, run_id: str) -> Decimal:
        return self._runs[run_id].reserved_usd if run_id in self._runs else Decimal(0)

    async def close_open_calls(self, run_id: str) -> Decimal:
        run, now = self._run(run_id), datetime.now(UTC)
        for call in [call for call in run.calls.values() if is_open(call)]:
            closed = replace(call, state=CallState.POSSIBLY_BILLED, cost_usd=at_most(call), finished_at=now)
            run.calls[call.call_id] = replace(closed, error_kind=call.error_kind or "abandoned")
        _drop_receipts(run)
        run.reserved_usd = _spent(run)
        return run.reserved_usd

    async def spent_usd(self, run_id: str, but_incarnation: str | None = None) -> Decimal:
        return _spent(self._run(run_id), but_incarnation)

    async def taken(self, model: str, provider: str | None, simulated: bool) -> list[PastUse]:
        every = [call for run in self._runs.values() if run.simulated == simulated for call in run.calls.values()]
        calls = [call for call in every if call.model == model and call.provider in (None, provider)]
        return taken(calls, datetime.now(UTC))

    async def scores(self, run_id: str) -> RunScores:
        scores = RunScores(packed=True)
        for result in self._run(run_id).reads.values():
            scores.add(result)
        return scores

    async def agreement(self, run_id: str) -> Agreement:
        reads = equal = both = only_call = only_baseline = 0
        for result in self._run(run_id).reads.values():
            if result.disposition is not Disposition.STORED or result.read.truth is not None:
                continue
            valid = [variant for variant in result.variants if variant.outcome in (None, "ok")]
            called = {variant[1:4] for variant in valid if variant.side == "call"}
            based = {variant[1:4] for variant in valid if variant.side == "baseline"}
            reads, equal = reads + 1, equal + (called == based)
            both, only_call, only_baseline = (
                both + len(called & based),
                only_call + len(called - based),
                only_baseline + len(based - called),
            )
        return Agreement(reads=reads, reads_equal=equal, both=both, only_call=only_call, only_baseline=only_baseline)

    async def read_reads(self, run_id: str, after_index: int, limit: int) -> list[Read]:
        chosen = sorted(index for index in self._run(run_id).reads if index > after_index)[:limit]
        return [as_made(self._run(run_id).reads[index]) for index in chosen]

    async def read_results(self, run_id: str, after_index: int, limit: int) -> list[ReadResult]:
        reads = self._run(run_id).reads
        return [reads[index] for index in sorted(index for index in reads if index > after_index)[:limit]]

    async def controls(self, run_id: str) -> list[tuple[ControlEvent, ControlOutcome]]:
        own = [(event, outcome) for owner, event, outcome in self._controls.values() if owner == run_id]
        return sorted(own, key=lambda pair: (pair[0].asked_at, pair[0].request_id))

    async def record_control(self, run_id: str, event: ControlEvent) -> bool:
        if event.request_id in self._controls:
            return False
        outcome = ControlOutcome(value_from=event.value_from, value_to=event.value_to)
        self._controls[event.request_id] = (run_id, event, outcome)
        return True

    async def mark_control(self, request_id: str, outcome: ControlOutcome) -> None:
        if request_id not in self._controls:
            return
        run_id, event, known = self._controls[request_id]
        merged = ControlOutcome(
            accepted=known.accepted if outcome.accepted is None else outcome.accepted,
            message=outcome.message or known.message,
            value_from=outcome.value_from or known.value_from,
            value_to=outcome.value_to or known.value_to,
            acknowledged_at=known.acknowledged_at or outcome.acknowledged_at,
            in_effect_at=known.in_effect_at or outcome.in_effect_at,
        )
        event = replace(event, value_from=merged.value_from, value_to=merged.value_to)
        self._controls[request_id] = (run_id, event, merged)

    async def recent_reads(self, run_id: str, limit: int) -> list[RecentRow]:
        return self._recent(run_id, limit, alerts_only=False)

    async def recent_alerts(self, run_id: str, limit: int) -> list[RecentRow]:
        return self._recent(run_id, limit, alerts_only=True)

    async def aclose(self) -> None:
        return None

    def _run(self, run_id: str) -> _Run:
        if run_id not in self._runs:
            raise InvariantError(f"run {run_id} was never started in this ledger")
        return self._runs[run_id]

    def _recent(self, run_id: str, limit: int, *, alerts_only: bool) -> list[RecentRow]:
        chosen = [result for result in self._run(run_id).reads.values() if result.mutation_detected or not alerts_only]
        chosen.sort(key=lambda result: (result.finished_at, result.read.read_index), reverse=True)
        return [_row(result) for result in chosen[:limit]]


def _drop_receipts(run: _Run) -> None:
    run.receipts = {name: receipt for name, receipt in run.receipts.items() if is_needed(receipt.read_indices, run.reads)}


def _row(result: ReadResult) -> RecentRow:
    read = result.read
    assert result.finished_at is not None
    return RecentRow(
        read.read_index,
        read.read_id,
        read.contig,
        read.ref_start if read.contig and read.ref_start >= 0 else None,
        read.seq[:401],
        result.mutation_detected,
        result.disposition.value,
        result.error_kind,
        result.latency_ms,
        result.finished_at,
        read.ref_seq[:401],
        result.cost_usd,
        tuple(
            it._replace(event=None, confidence=None, reason=None, detail=None, off_by=None, baseline=None)
            for side in ("truth", "call")
            for it in result.variants
            if it.side == side
        ),
    )


def _cost(run: _Run) -> Decimal:
    return sum((call.cost_usd for call in run.calls.values()), Decimal(0))


def _spent(run: _Run, but_incarnation: str | None = None) -> Decimal:
    others = (call for call in run.calls.values() if but_incarnation is None or call.throttle_epoch != but_incarnation)
    return sum(map(at_most, others), Decimal(0))


def _percentiles(values: list[float]) -> dict[str, float | None]:
    """By linear interpolation, as percentile_cont does."""
    values.sort()
    found: dict[str, float | None] = {}
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        place = share * (len(values) - 1)
        low, high = math.floor(place), math.ceil(place)
        found[name] = values[low] + (values[high] - values[low]) * (place - low) if values else None
    return found


def _dead_letter_kinds(run: _Run) -> dict[str, int]:
    kinds = Counter(str(result.error_kind) for result in run.reads.values() if result.disposition is Disposition.DEAD_LETTER)
    return dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0])))


def _failure(call: ApiCall) -> str | None:
    return failure_kind(call.state, call.status, call.error_kind)
