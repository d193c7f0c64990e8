"""What each actor reports once a second: all that it counted since its start, and what it holds now.

Every numeric field carries its mark, see `helix_ray.records.marks`. The queue and the throttle report what their `stats` return.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from helix_ray.metrics.snapshot import CommandView
from helix_ray.queueing.messages import QueueStats
from helix_ray.records.marks import COUNTER, GAUGE
from helix_ray.scoring.strata import Level
from helix_ray.scoring.tally import Counts
from helix_ray.throttle.messages import ThrottleStats


def nearest_rank(values: Iterable[float], percent: int) -> float | None:
    """A percentile of these values; None without any."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessReport:
    """Of any actor's process."""

    started_at: float = field(metadata=GAUGE)  # Unix seconds; changes exactly when the actor is restarted
    pss_mb: float = field(metadata=GAUGE)
    cpu_s: float = field(metadata=COUNTER)
    machine_cores: int = field(metadata=GAUGE)  # that the process may use
    machine_busy: float | None = field(default=None, metadata=GAUGE)  # 0..1, of all cores
    cpu_share: float | None = field(default=None, metadata=GAUGE)  # of one core, all threads; above 1 with several
    loop_busy: float | None = field(default=None, metadata=GAUGE)  # 0..1, of one core: the thread that runs its event loop
    loop_lag_ms: float | None = field(default=None, metadata=GAUGE)
    node: str = ""  # that it runs on


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerReport:
    produced: int = field(default=0, metadata=COUNTER)  # reads that entered the queue by its puts
    generated: int = field(default=0, metadata=COUNTER)  # reads made by the source
    generate_s: float = field(default=0.0, metadata=COUNTER)  # making them
    generated_reads_per_s: float = field(default=0.0, metadata=GAUGE)  # while it made them
    blocked_seconds: float = field(default=0.0, metadata=COUNTER)  # waiting for the queue's answer to a put


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzerReport:
    analysed: int = field(metadata=COUNTER)  # reads with their final result, of any disposition
    dead_letters: int = field(metadata=COUNTER)
    requests: int = field(metadata=COUNTER)  # that left this machine
    rate_limited: int = field(metadata=COUNTER)  # of these, answered by a 429
    resent: int = field(metadata=COUNTER)  # of these, about reads that the API failed before
    failures: int = field(metadata=COUNTER)  # requests that the API failed, or will never serve
    failed: Mapping[str, int] = field(metadata=COUNTER)  # requests that the API failed, by `records.failure_kind`
    repairs: int = field(metadata=COUNTER)  # reads asked again because their answer could not be used
    lenient: int = field(metadata=COUNTER)  # answers read although they break the schema's letter
    tokens_prompt: int = field(metadata=COUNTER)
    tokens_cached: int = field(metadata=COUNTER)
    tokens_completion: int = field(metadata=COUNTER)
    cost_usd: float = field(metadata=COUNTER)  # requests of unknown outcome at their worst case
    tier: Mapping[str, int] = field(metadata=COUNTER)  # answered reads by the service tier that answered
    left_out: Mapping[str, int] = field(metadata=COUNTER)  # reads that are not analysed, by `records.LEFT_OUT`
    score: Mapping[Level, Counts] = field(metadata=COUNTER)
    all_differences: Mapping[Level, Counts] = field(metadata=COUNTER)  # the same by type, with sequencing errors as truths
    ceiling: Mapping[Level, Counts] = field(metadata=COUNTER)  # of the aligner's calls on the same reads
    reads: Mapping[str, int] = field(metadata=COUNTER)  # with known truth, by how they came out as a whole
    off_by: Mapping[int, int] = field(metadata=COUNTER)  # wrong calls within 5 bases of a missed truth, by their distance
    baseline_s: float = field(metadata=COUNTER)  # CPU seconds of the aligner beside the model
    scoring_s: float = field(metadata=COUNTER)  # CPU seconds of judging and scoring
    held_back_s: float = field(metadata=COUNTER)  # nothing was leased, since too many results waited for their commit
    intent_wait_s: float = field(metadata=COUNTER)  # of all requests: waiting until they are on record
    latency_ms_p50: float | None = field(metadata=GAUGE)  # of the last 1,024 answers
    latency_ms_p95: float | None = field(metadata=GAUGE)
    latency_ms_p99: float | None = field(metadata=GAUGE)
    in_flight: int = field(metadata=GAUGE)  # requests
    requests_in_flight: int = field(metadata=GAUGE)  # the most that may be, as configured
    slots: int = field(metadata=GAUGE)  # the most that may be just now
    held: int = field(metadata=GAUGE)  # leased reads
    unsaved: int = field(metadata=GAUGE)  # results that wait for their commit
    limited: str | None  # why no more is sent: budget or daily
    refused: str | None  # why the provider refuses for good
    sink_error: str | None  # the last one


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkReport:
    buffered: int = field(metadata=GAUGE)  # reads written to the sink and not committed
    committed_reads: int = field(metadata=COUNTER)  # rows inserted or replayed, dead letters for unstorable reads included
    committed_calls: int = field(metadata=COUNTER)
    suppressed: int = field(metadata=COUNTER)  # reads whose row existed: another answer was first
    replayed: int = field(metadata=COUNTER)  # reads whose row existed when a batch was sent again after a lost connection
    unstorable: int = field(metadata=COUNTER)
    corrupted: int = field(metadata=COUNTER)  # reads whose checksum was no longer the source's
    batches: int = field(metadata=COUNTER)
    retries: int = field(metadata=COUNTER)
    commit_s: float = field(metadata=COUNTER)  # committing batches, the one under way included
    unacked: int = field(metadata=GAUGE)  # committed, and the queue does not know yet
    outage_s: float = field(metadata=GAUGE)  # how long the database has not answered; 0: it does
    commit_ms_p50: float | None = field(metadata=GAUGE)  # of the last 200 commits
    commit_ms_p95: float | None = field(metadata=GAUGE)
    last_error: str | None
    fatal_error: str | None  # the database is given up; every further write raises it


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlReport:
    """The desired state; None: not set."""

    paused: bool = field(metadata=GAUGE)
    rate_per_s: float | None = field(metadata=GAUGE)
    spike_rate_per_s: float | None = field(metadata=GAUGE)
    spike_until: float | None = field(metadata=GAUGE)  # Unix seconds
    ending: str | None
    spike_refusal: str | None  # why a spike does nothing in this run
    commands: tuple[CommandView, ...]  # newest first


Report = ProducerReport | QueueStats | AnalyzerReport | ThrottleStats | SinkReport | ControlReport
