"""One consistent picture of a run: frozen, plain values, the only thing that the page and the terminal ever read.

None always means "not known (yet)", never zero. Rates are per second over the last ten seconds, money is US dollars.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from helix_ray.metrics.recent import RecentRead
from helix_ray.records import ControlEvent, ControlOutcome, JsonObject
from helix_ray.scoring.tally import Counts, ReadCounts

SHOWN_COMMANDS = 20
_COMMAND_VALUES = ("rate_per_s", "spike_rate_per_s", "max_cost_usd", "requests_in_flight")  # of `records.DesiredState`
FEW = 0.1  # of the queue's capacity: whatever is offered is taken at once


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
    provider: str | None = None  # who answers; None: no API is asked
    low_watermark: int = 100  # waiting reads, at which a full queue admits again
    driver_node: str | None = None  # of a cluster; None: the run has a Ray of its own
    logs: str = ""  # the folder on the driver's node, and the one on the other nodes of a cluster
    logs_elsewhere: str = ""

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
    retries: int | None = None  # of the sink
    suppressed: int | None = None  # conflicting rows that were not stored twice
    repairs: int = 0  # reads that were asked again, since their answer could not be used
    lenient: int | None = None  # answers that were taken though not by the letter of the schema
    baseline_s: float | None = None  # CPU seconds of the aligner beside the model
    scoring_s: float | None = None  # CPU seconds of judging and scoring all calls
    analyzer_cpu_s: float | None = None  # CPU seconds of the analyzers, everything included
    resent: int = 0  # of the requests: sent again after a failure of the API
    failures_by_kind: tuple[tuple[str, int], ...] = ()  # of these, by `records.failure_kind`
    reads_by_tier: tuple[tuple[str, int], ...] = ()  # answered reads by the service tier that answered
    left_out: tuple[tuple[str, int], ...] = ()  # reads that are not analysed, by `records.LEFT_OUT`


@dataclass(frozen=True, slots=True)
class QueueView:
    waiting: int | None = None
    redelivered: int | None = None
    leased: int | None = None
    in_sink: int | None = None  # written to the sink, and not yet off the queue
    capacity: int = 500
    max_queue_depth: int | None = None
    max_redelivered: int | None = None
    max_leased: int | None = None
    max_held: int | None = None
    blocked_seconds: float | None = None  # summed over producers
    blocked: bool | None = None  # a producer stood blocked within the last seconds
    admitted: int | None = None  # since this queue started: with ``acked``, what waits and what is leased from one report
    acked: int | None = None
    input_finished: bool = False
    total_reads: int | None = None  # of the whole source; None until every producer has finished

    @property
    def depth(self) -> int | None:
        """Reads that wait for a lease, the returned ones included."""
        return None if self.waiting is None else self.waiting + (self.redelivered or 0)

    @property
    def share(self) -> float | None:
        """Depth of the capacity; above 1 with returned reads."""
        return None if self.depth is None else self.depth / self.capacity

    @property
    def is_filled(self) -> bool:
        """What waits is more than passes through: the analyzers do not take all that is offered."""
        return (self.depth or 0) >= FEW * self.capacity

    @property
    def difference(self) -> int | None:
        """Reads that were admitted and are nowhere: never another number than 0, however fast reads move. None: no queue has reported."""
        return None if self.admitted is None or self.acked is None else self.admitted - self.left - self.acked

    @property
    def left(self) -> int:
        """As many as are known to wait or to be leased."""
        return (self.depth or 0) + (self.leased or 0)


@dataclass(frozen=True, slots=True)
class SinkView:
    buffered: int | None = None  # reads written to the sink and not committed
    unacked: int | None = None  # committed, and the queue does not know yet
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
    concurrency: int | None = None  # the most requests in flight while the API bears fewer than configured; None: not bounded
    breaker: str = "closed"  # closed open half_open
    parked: str | None = None  # the day's limit that is used up: RPD or TPD
    parked_for_s: float = 0.0
    next_probe_in_s: float = 0.0  # while the door is closed
    door: str | None = None  # why nothing but single probes is sent: cooldown daily failing; None: it is open
    door_bound_s: float = 0.0  # the longest time between two probes

    @property
    def is_parked(self) -> bool:
        """Nothing but a lone try is in flight: with another service tier the run may go on while one is parked."""
        return self.parked is not None and self.in_flight <= 1


@dataclass(frozen=True, slots=True)
class Money:
    spent_usd: float | None = None
    reserved_usd: float | None = None
    max_cost_usd: float | None = None
    authorised_usd: float | None = None  # of the cap: put on record in ``runs.reserved_usd``, so that it may be granted
    usd_per_hour: float | None = None  # over the last minute
    cap_in_s: float | None = None  # at this pace; None: not known, or never

    @property
    def share(self) -> float | None:
        """Spent and reserved of the cap, 0..1."""
        if self.spent_usd is None or not self.max_cost_usd:
            return None
        return (self.spent_usd + (self.reserved_usd or 0.0)) / self.max_cost_usd


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
    node: str = ""  # its address, and a beginning of Ray's id

    @property
    def role(self) -> str:
        """``helix-producer-3`` is a producer, ``helix-queue`` the queue."""
        return self.name.removeprefix("helix-").rstrip("0123456789").rstrip("-")


@dataclass(frozen=True, slots=True)
class MachineView:
    """The busiest machine that an actor runs on; ``nodes`` is how many there are."""

    cores: int | None = None  # that the actors may use
    busy: float | None = None  # 0..1, of all cores, with whatever runs there
    ours: float | None = None  # 0..1, of these cores: what the actors use, without the database and Ray
    nodes: int = 1


@dataclass(frozen=True, slots=True)
class ControlView:
    version: int = 0
    adopted: int = 0  # the version that every producer and analyzer follows
    paused: bool = False
    rate_per_s: float | None = None
    spike_rate_per_s: float | None = None
    spike_until: float | None = None  # Unix seconds
    ending: str | None = None
    can_spike: bool = False  # False before control has reported
    spike_refusal: str | None = None  # why a spike does nothing in this run, and what to do first


@dataclass(frozen=True, slots=True)
class CommandView:
    """One command of this run: requested, acknowledged, in effect. All times are Unix seconds, None: not yet."""

    action: str  # see `helix_ray.records.Action`
    value: float | None  # reads/s, US dollars or requests; None: as configured, or the action has none
    asked_at: float
    acknowledged_at: float | None = None
    in_effect_at: float | None = None  # every producer and analyzer follows it
    accepted: bool | None = None  # None: not answered yet. A refused one never gets into effect

    @classmethod
    def of(cls, event: ControlEvent, outcome: ControlOutcome) -> CommandView:
        change: JsonObject = json.loads(event.value_to or "{}")
        value = next((change[name] for name in _COMMAND_VALUES if name in change), None)
        times = [None if at is None else at.timestamp() for at in (outcome.acknowledged_at, outcome.in_effect_at)]
        return cls(event.action, value, event.asked_at.timestamp(), times[0], times[1], outcome.accepted)


@dataclass(frozen=True, slots=True)
class StageView:
    """Shares of the last ten seconds, 0..1, that add up to 1; None: not known.

    A stage is blocked when what it has is not taken by the next one, and idle when nothing comes to it or it is told to wait.
    """

    name: str  # source | queue | throttle | analyzers | sink
    busy: float | None = None
    blocked: float | None = None
    idle: float | None = None


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What the run waits for, and what to do about it."""

    name: str  # requests | tokens | daily limit | concurrency | budget | API latency | sink | producer | pipeline CPU | paused | none
    reason: str
    stage: str | None = None  # of `MetricsSnapshot.stages`, the one that all others wait for; None: paused, or none


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
    all_differences: Mapping[str, Counts] = field(default_factory=dict)  # the same, with sequencing errors as truths
    ceiling: Mapping[str, Counts] = field(default_factory=dict)  # of the aligner's calls on the same reads; empty without truth
    strata: Mapping[str, Mapping[str, Counts]] = field(default_factory=dict)  # the model's, by every other dimension and its level
    read_sums: ReadCounts = field(default_factory=ReadCounts)
    off_by: tuple[tuple[int, int], ...] = ()  # (call's position minus the truth's, calls): wrong ones within 5 bases of a missed truth
    actors: tuple[ActorView, ...] = ()
    recent_reads: tuple[RecentRead, ...] = ()  # newest first
    recent_alerts: tuple[RecentRead, ...] = ()  # newest first
    control: ControlView = ControlView()
    bottleneck: Bottleneck = field(default_factory=lambda: Bottleneck("none", ""))
    stages: tuple[StageView, ...] = ()  # source, queue, throttle, analyzers, sink
    progress: float | None = None  # 0..1, of the reads that are asked for, earlier sessions included; None: there is no end, or not known
    eta_s: float | None = None  # at the pace of the last minute
    elapsed_s: float | None = None  # since this session began; of a past run: from its start to its end
    commands: tuple[CommandView, ...] = ()  # newest first, at most twenty


def as_json(snapshot: MetricsSnapshot) -> JsonObject:
    """As JSON values, for ``helix status --json``: each level of the accuracy is an object with its name and its counts."""

    def levels(counts: Mapping[str, Counts]) -> list[JsonObject]:
        return [{"level": level, **row._asdict()} for level, row in counts.items()]

    return asdict(snapshot) | {
        "accuracy": levels(snapshot.accuracy),
        "all_differences": levels(snapshot.all_differences),
        "ceiling": levels(snapshot.ceiling),
        "strata": [{"dimension": dimension, "levels": levels(counts)} for dimension, counts in snapshot.strata.items()],
    }


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """What was so during ``step_s``: one second of the last hour, or 30 of the last day. None: not known."""

    t: float  # Unix seconds, of its end
    waiting: int | None  # of a longer step: the most
    redelivered: int | None
    leased: int | None
    offered: float | None  # reads/s over three seconds; of a longer step: the average
    analysed: float | None
    stored: float | None
    http_429: int | None  # total so far
    spent_usd: float | None
    blocked: bool | None
    paused: bool | None
    latency_ms_p95: float | None = None
    in_flight: int | None = None  # requests
    step_s: float = 1.0

    @property
    def depth(self) -> int | None:
        """As `QueueView.depth`."""
        return None if self.waiting is None else self.waiting + (self.redelivered or 0)


FINAL_STATES = frozenset({"COMPLETE", "LIMITED", "REFUSED", "STOPPED", "FAILED"})


def parts_by_node(snapshot: MetricsSnapshot) -> dict[str, list[str]]:
    """The parts on each node, the driver's node first."""
    home = snapshot.run.driver_node or ""
    nodes: dict[str, list[str]] = {home: ["driver"]}
    for actor in snapshot.actors:
        nodes.setdefault(actor.node, []).append(actor.name.removeprefix("helix-"))
    return nodes
