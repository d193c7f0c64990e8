"""One consistent picture of a run: frozen, plain values, the only thing that the page and the terminal ever read.

None always means "not known (yet)", never zero. Rates are per second over the last ten seconds, money is US dollars.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from helix_ray.records import JsonObject, ReadResult
from helix_ray.scoring.tally import Counts, ReadCounts

SHOWN_CALLS = 5
SHOWN_ALLELE = 12
COUNTED = (("truth", "TP"), ("call", "FP"), ("truth", "FN"))  # a true positive has a row on both sides, the baseline its own


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What does not change while a run lives, and how it ended (``status`` as in the table ``runs``)."""

    run_id: str = ""
    name: str = ""
    backend: str = ""  # groq | emulator | aligner
    simulated: bool = False
    model: str = ""
    latency_scale: float = 1.0  # of the emulator; 1 is real time
    started_at: float | None = None  # Unix seconds
    config: str = ""  # the SHA-256 of the configuration, in hexadecimal
    reads_requested: int | None = None  # None: to the end of the file, or until stopped
    rows_before: int = 0  # final rows of earlier sessions of this run
    cost_before_usd: float = 0.0  # of these sessions, at most
    max_cost_usd: float | None = None
    dashboard_url: str | None = None  # Ray's
    status: str = "running"
    reason: str | None = None  # why it ended

    @property
    def known(self) -> bool:
        """False until a restarted metrics actor knows which run it counts, and whether that is simulated."""
        return self.run_id != ""


@dataclass(frozen=True, slots=True)
class Rates:
    offered: float | None = None  # reads/s into the queue
    analysed: float | None = None
    stored: float | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    produced: int = 0
    analysed: int = 0
    stored: int = 0  # rows committed, whatever their disposition
    dead_letters: int = 0
    requests: int = 0
    failures: int = 0  # requests that the API failed, 429s apart
    http_429: int = 0
    tokens_prompt: int = 0
    tokens_cached: int = 0
    tokens_completion: int = 0
    retries: int = 0  # of the sink
    suppressed: int = 0  # conflicting rows that were not stored twice
    repairs: int = 0  # reads that were asked again, since their answer could not be used
    lenient: int = 0  # answers that were taken though not by the letter of the schema
    baseline_s: float = 0.0  # CPU seconds of the aligner beside the model
    scoring_s: float = 0.0  # CPU seconds of judging and scoring all calls
    analyzer_cpu_s: float = 0.0  # CPU seconds of the analyzers, everything included
    resent: int = 0  # of the requests: sent again after a failure of the API
    failures_by_kind: tuple[tuple[str, int], ...] = ()  # of these, by `records.failure_kind`
    reads_by_tier: tuple[tuple[str, int], ...] = ()  # answered reads by the service tier that answered


@dataclass(frozen=True, slots=True)
class QueueView:
    waiting: int = 0
    redelivered: int = 0
    leased: int = 0
    in_sink: int = 0  # written to the sink, and not yet off the queue
    capacity: int = 500
    max_queue_depth: int = 0
    max_redelivered: int = 0
    max_leased: int = 0
    max_held: int = 0
    blocked_seconds: float = 0.0  # summed over producers
    blocked: bool = False  # a producer stood blocked within the last seconds
    input_finished: bool = False


@dataclass(frozen=True, slots=True)
class SinkView:
    buffered: int = 0  # reads written to the sink and not committed
    unacked: int = 0  # committed, and the queue does not know yet
    outage_s: float = 0.0  # how long the database has not answered; 0: it does
    commit_ms_p50: float | None = None
    commit_ms_p95: float | None = None
    holds_back: float | None = None  # 0..1, of the analyzers' time: so many results waited for the database that nothing was leased
    intents_share: float | None = None  # 0..1, of the time of requests with a permit: the database has not recorded them yet


@dataclass(frozen=True, slots=True)
class BucketView:
    """One limit of the provider. ``credit`` may be below 0 when an answer was dearer than reserved."""

    name: str  # RPM RPD TPM TPD ITPM OTPM, and the service tier where it is not on_demand: "TPM flex"
    limit: float
    credit: float
    settled: float = 0.0
    reserved: float = 0.0
    utilisation: float | None = None  # 0..1
    source: str = ""  # configured | discovered

    @property
    def window(self) -> str:
        """The time over which ``limit`` counts: day for RPD and TPD, else minute."""
        return "day" if self.kind.endswith(("PD", "DAY")) else "minute"

    @property
    def kind(self) -> str:
        """The name without its service tier."""
        return self.name.upper().partition(" ")[0]

    @property
    def headroom(self) -> float | None:
        """Share of the limit that may be spent at once, 0..1."""
        return min(1.0, max(0.0, self.credit / self.limit)) if self.limit > 0 else None


@dataclass(frozen=True, slots=True)
class ThrottleView:
    buckets: tuple[BucketView, ...] = ()
    in_flight: int = 0
    waiting: int = 0
    gate_closed_for_s: float = 0.0
    probing: bool = False
    binding: str | None = None  # a bucket's name, or: concurrency breaker retries budget daily
    budget_exhausted: bool = False
    concurrency: int | None = None  # the adaptive limit on requests in flight; None: not bounded, or not known yet
    breaker: str = "closed"  # closed open half_open
    parked: str | None = None  # the day's limit that is used up: RPD or TPD
    parked_for_s: float = 0.0
    next_probe_in_s: float = 0.0  # of a parked run

    @property
    def is_parked(self) -> bool:
        """Nothing but a lone try is in flight: with another service tier the run may go on while one is parked."""
        return self.parked is not None and self.in_flight <= 1


@dataclass(frozen=True, slots=True)
class Money:
    spent_usd: float = 0.0
    reserved_usd: float = 0.0
    max_cost_usd: float | None = None
    authorised_usd: float | None = None  # of the cap: put on record in ``runs.reserved_usd``, so that it may be granted

    @property
    def share(self) -> float | None:
        """Spent and reserved of the cap, 0..1."""
        return (self.spent_usd + self.reserved_usd) / self.max_cost_usd if self.max_cost_usd else None


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of answering requests: the slowest analyzer's percentiles (percentiles do not add up)."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class ActorView:
    name: str
    last_seen_s: float  # seconds since its last report
    pss_mb: float | None = None
    restarts: int = 0
    version: int = 0  # of the control state that it follows
    cpu_share: float | None = None  # of one core, all threads; above 1 with several
    loop_busy: float | None = None  # 0..1, of one core: the thread that runs its event loop
    loop_lag_ms: float | None = None  # how late its event loop runs what is due; on average

    @property
    def role(self) -> str:
        """``helix-producer-3`` is a producer, ``helix-queue`` the queue."""
        return self.name.removeprefix("helix-").rstrip("0123456789").rstrip("-")


@dataclass(frozen=True, slots=True)
class MachineView:
    """The busiest machine that an actor runs on."""

    cores: int | None = None  # that the actors may use
    busy: float | None = None  # 0..1, of all cores, with whatever runs there
    ours: float | None = None  # 0..1, of these cores: what the actors use, without the database and Ray


@dataclass(frozen=True, slots=True)
class ControlView:
    version: int = 0
    adopted: int = 0  # the version that every producer and analyzer follows
    paused: bool = False
    rate_per_s: float | None = None
    spike_rate_per_s: float | None = None
    spike_until: float | None = None  # Unix seconds
    ending: str | None = None


@dataclass(frozen=True, slots=True)
class RecentRead:
    """One finished read. ``calls`` are differences from the reference window, ``pos ref>alt type``, at most five."""

    read_index: int
    read_id: str
    disposition: str
    mutation_detected: bool | None
    calls: tuple[str, ...] = ()
    verdict: str | None = None  # "2 TP, 1 FN"; None without truth
    latency_ms: float | None = None
    cost_usd: float = 0.0
    error_kind: str | None = None
    finished_at: float | None = None  # Unix seconds

    @classmethod
    def from_result(cls, result: ReadResult) -> RecentRead:
        calls = [item for item in result.variants if item.side == "call"]
        shown = [f"{item.pos} {_short(item.ref)}>{_short(item.alt)} {item.type or 'invalid'}" for item in calls[:SHOWN_CALLS]]
        if len(calls) > SHOWN_CALLS:
            shown.append(f"and {len(calls) - SHOWN_CALLS} more")
        matches = Counter(item.match for item in result.variants if (item.side, item.match) in COUNTED)
        return cls(
            read_index=result.read.read_index,
            read_id=result.read.read_id,
            disposition=result.disposition.value,
            mutation_detected=result.mutation_detected,
            calls=tuple(shown),
            verdict=", ".join(f"{matches[name]} {name}" for name in ("TP", "FP", "FN") if matches[name]) or None,
            latency_ms=result.latency_ms,
            cost_usd=float(result.cost_usd),
            error_kind=result.error_kind,
            finished_at=result.finished_at.timestamp() if result.finished_at else None,
        )


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What the run waits for, and what to do about it."""

    name: str  # requests | tokens | daily limit | concurrency | budget | API latency | sink | producer | pipeline CPU | paused | none
    reason: str


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    as_of: float  # Unix seconds
    run: RunInfo = RunInfo()
    state: str = "STARTING"  # STARTING RUNNING PARKED PAUSED DRAINING STOPPING DEGRADED COMPLETE LIMITED REFUSED STOPPED FAILED
    reason: str = ""
    rates: Rates = Rates()
    totals: Totals = Totals()
    queue: QueueView = QueueView()
    sink: SinkView = SinkView()
    throttle: ThrottleView = ThrottleView()
    money: Money = Money()
    latency: Latency = Latency()
    slots: int = 0  # requests that the analyzers may have in flight, as configured
    machine: MachineView = MachineView()
    accuracy: Mapping[str, Counts] = field(default_factory=dict)  # by variant type; empty without truth
    ceiling: Mapping[str, Counts] = field(default_factory=dict)  # of the aligner's calls on the same reads; empty without truth
    strata: Mapping[str, Mapping[str, Counts]] = field(default_factory=dict)  # the model's, by every other dimension and its level
    read_sums: ReadCounts = field(default_factory=ReadCounts)
    off_by: tuple[tuple[int, int], ...] = ()  # (call's position minus the truth's, calls): wrong ones within 5 bases of a missed truth
    actors: tuple[ActorView, ...] = ()
    recent_reads: tuple[RecentRead, ...] = ()  # newest first
    recent_alerts: tuple[RecentRead, ...] = ()  # newest first
    control: ControlView = ControlView()
    bottleneck: Bottleneck = field(default_factory=lambda: Bottleneck("none", ""))


def as_json(snapshot: MetricsSnapshot) -> JsonObject:
    """As JSON values, for ``helix status --json``: each level of the accuracy is an object with its name and its counts."""

    def levels(counts: Mapping[str, Counts]) -> list[JsonObject]:
        return [{"level": level, **row._asdict()} for level, row in counts.items()]

    return asdict(snapshot) | {
        "accuracy": levels(snapshot.accuracy),
        "ceiling": levels(snapshot.ceiling),
        "strata": [{"dimension": dimension, "levels": levels(counts)} for dimension, counts in snapshot.strata.items()],
    }


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """One second of the last fifteen minutes."""

    t: float  # Unix seconds
    waiting: int
    redelivered: int
    leased: int
    offered: float | None  # reads/s over three seconds
    analysed: float | None
    stored: float | None
    http_429: int  # total so far
    spent_usd: float
    blocked: bool
    paused: bool


FINAL_STATES = frozenset({"COMPLETE", "LIMITED", "REFUSED", "STOPPED", "FAILED"})


def _short(allele: str) -> str:
    return allele if len(allele) <= SHOWN_ALLELE else f"{allele[: SHOWN_ALLELE - 1]}…"
