"""Sums and single values over all reporters: the raw material of a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from helix_ray.metrics.incarnations import Reporter
from helix_ray.metrics.snapshot import (
    ActorView,
    BucketView,
    ControlView,
    Latency,
    MachineView,
    Money,
    QueueView,
    SinkView,
    ThrottleView,
    Totals,
)
from helix_ray.scoring.tally import Counts, ReadCounts

FOLLOWERS = ("producer", "analyzer")  # the roles that act on the control state


class CrewView:
    def __init__(self, reporters: Mapping[str, Reporter]) -> None:
        self._reporters = reporters

    def role(self, role: str) -> list[Reporter]:
        return [reporter for reporter in self._reporters.values() if reporter.role == role]

    def total(self, role: str, name: str) -> float:
        return sum(reporter.total(name) for reporter in self.role(role))

    def progress(self, role: str, name: str) -> float:
        return sum(reporter.progress(name) for reporter in self.role(role))

    def highest(self, role: str, name: str) -> float | None:
        values = [value for reporter in self.role(role) if (value := reporter.gauge(name)) is not None]
        return max(values, default=None)

    def totals(self) -> Totals:
        def count(role: str, name: str) -> int:
            return round(self.total(role, name))

        failed = self._by_name("failed.")
        return Totals(
            produced=count("queue", "admitted") or count("producer", "produced"),
            analysed=count("analyzer", "analysed"),
            stored=count("sink", "committed_reads"),
            dead_letters=count("analyzer", "dead_letters"),
            requests=count("analyzer", "requests"),
            failures=sum(number for _, number in failed),
            http_429=count("throttle", "http_429"),
            tokens_prompt=count("analyzer", "tokens_prompt"),
            tokens_cached=count("analyzer", "tokens_cached"),
            tokens_completion=count("analyzer", "tokens_completion"),
            retries=count("sink", "retries"),
            suppressed=count("sink", "suppressed"),
            repairs=count("analyzer", "repairs"),
            lenient=count("analyzer", "lenient"),
            baseline_s=self.total("analyzer", "baseline_s"),
            scoring_s=self.total("analyzer", "scoring_s"),
            analyzer_cpu_s=self.total("analyzer", "cpu_s"),
            resent=count("analyzer", "resent"),
            failures_by_kind=failed,
            reads_by_tier=self._by_name("tier."),
        )

    def _by_name(self, prefix: str) -> tuple[tuple[str, int], ...]:
        """Sums of the analyzers' counters ``PREFIX.NAME``, the largest first."""
        names = {name for reporter in self.role("analyzer") for name in reporter.names() if name.startswith(prefix)}
        found = [(name.removeprefix(prefix), round(self.total("analyzer", name))) for name in names]
        return tuple(sorted(found, key=lambda pair: (-pair[1], pair[0])))

    def queue(self, blocked: bool) -> QueueView:
        def count(name: str) -> int:
            return round(self.highest("queue", name) or 0)

        return QueueView(
            waiting=count("waiting"),
            redelivered=count("redelivered"),
            leased=count("leased"),
            in_sink=self.sink().buffered + self.sink().unacked,
            capacity=count("capacity") or 500,
            max_queue_depth=count("max_queue_depth") or count("max_waiting"),
            max_redelivered=count("max_redelivered"),
            max_leased=count("max_leased"),
            max_held=count("max_held"),
            blocked_seconds=self.total("queue", "blocked_seconds"),
            blocked=blocked,
            input_finished=self._input_finished(),
        )

    def sink(self, holds_back: float | None = None, intents_share: float | None = None) -> SinkView:
        return SinkView(
            holds_back=holds_back,
            intents_share=intents_share,
            buffered=round(self.highest("sink", "buffered") or 0),
            unacked=round(self.highest("sink", "unacked") or 0),
            outage_s=self.highest("sink", "outage_s") or 0.0,
            commit_ms_p50=self.highest("sink", "commit_ms_p50"),
            commit_ms_p95=self.highest("sink", "commit_ms_p95"),
        )

    def throttle(self) -> ThrottleView:
        buckets: dict[str, dict[str, float]] = {}
        texts: dict[str, str] = {}
        for reporter in self.role("throttle"):
            texts.update(reporter.text)
            for name in reporter.names():
                if name.startswith("bucket."):
                    bucket, _, field = name.removeprefix("bucket.").rpartition(".")
                    buckets.setdefault(bucket, {})[field] = reporter.gauge(name) or 0.0
        return ThrottleView(
            buckets=tuple(
                BucketView(
                    name=name,
                    limit=fields.get("limit", 0.0),
                    credit=fields.get("credit", 0.0),
                    settled=fields.get("settled", 0.0),
                    reserved=fields.get("reserved", 0.0),
                    utilisation=fields.get("utilisation"),
                    source=texts.get(f"bucket.{name}.source", ""),
                )
                for name, fields in sorted(buckets.items())
            ),
            in_flight=round(self.highest("throttle", "in_flight") or 0),
            waiting=round(self.highest("throttle", "waiting") or 0),
            gate_closed_for_s=self.highest("throttle", "gate_closed_for_s") or 0.0,
            probing=bool(self.highest("throttle", "probing")),
            binding=texts.get("binding") or None,
            budget_exhausted=bool(self.highest("throttle", "budget_exhausted")),
            concurrency=None if (limit := self.highest("throttle", "concurrency")) is None else round(limit),
            breaker=texts.get("breaker") or "closed",
            parked=texts.get("parked") or None,
            parked_for_s=self.highest("throttle", "parked_for_s") or 0.0,
            next_probe_in_s=self.highest("throttle", "next_probe_in_s") or 0.0,
        )

    def money(self, configured_cap: float | None) -> Money:
        """The throttle's own cap wins: it may have been raised since the run began."""
        cap = self.highest("throttle", "max_cost_usd")
        spent = self.highest("throttle", "spent_usd")
        return Money(
            spent_usd=self.total("analyzer", "cost_usd") if spent is None else spent,
            reserved_usd=self.highest("throttle", "reserved_usd") or 0.0,
            max_cost_usd=configured_cap if cap is None else cap,
            authorised_usd=self.highest("throttle", "authorised_usd"),
        )

    def latency(self) -> Latency:
        return Latency(*(self.highest("analyzer", f"latency_ms_{percentile}") for percentile in ("p50", "p95", "p99")))

    def read_sums(self) -> ReadCounts:
        return ReadCounts(**{field.name: round(self.total("analyzer", f"reads.{field.name}")) for field in fields(ReadCounts)})

    def off_by(self) -> tuple[tuple[int, int], ...]:
        names = {name for reporter in self.role("analyzer") for name in reporter.names() if name.startswith("off_by.")}
        found = ((int(name.removeprefix("off_by.")), round(self.total("analyzer", name))) for name in names)
        return tuple(sorted(found))

    def counts(self, side: str) -> dict[str, dict[str, Counts]]:
        """By dimension and level, of the counters named ``SIDE.DIMENSION.LEVEL.FIELD``; a level may hold dots."""
        counts: dict[str, dict[str, dict[str, int]]] = {}
        for name in {name for reporter in self.role("analyzer") for name in reporter.names() if name.startswith(f"{side}.")}:
            dimension, _, rest = name.removeprefix(f"{side}.").partition(".")
            level, _, field = rest.rpartition(".")
            counts.setdefault(dimension, {}).setdefault(level, {})[field] = round(self.total("analyzer", name))
        return {
            dimension: {level: Counts(**of_level) for level, of_level in sorted(levels.items())}
            for dimension, levels in sorted(counts.items())
        }

    def actors(self, now: float) -> tuple[ActorView, ...]:
        return tuple(
            ActorView(
                reporter.name,
                max(0.0, now - reporter.last_seen),
                reporter.gauge("pss_mb"),
                reporter.restarts,
                reporter.version,
                *(reporter.gauge(name) for name in ("cpu_share", "loop_busy", "loop_lag_ms")),
            )
            for reporter in sorted(self._reporters.values(), key=lambda reporter: reporter.name)
        )

    def slots(self) -> int:
        """Requests that all analyzers together may have in flight."""
        return round(self.total("analyzer", "requests_in_flight"))

    def machine(self) -> MachineView:
        """Actors are taken to share one machine, as they do in a run of this version."""
        crew = self._reporters.values()
        cores = max((value for reporter in crew if (value := reporter.gauge("machine_cores")) is not None), default=None)
        shares = [value for reporter in crew if (value := reporter.gauge("cpu_share")) is not None]
        busy = max((value for reporter in crew if (value := reporter.gauge("machine_busy")) is not None), default=None)
        if not cores:
            return MachineView(busy=busy)
        return MachineView(round(cores), busy, min(1.0, sum(shares) / cores) if shares else None)

    def control(self) -> ControlView:
        reporters = self.role("control")
        if not reporters:
            return ControlView(adopted=self.adopted())
        reporter = reporters[0]
        return ControlView(
            version=reporter.version,
            adopted=self.adopted(),
            paused=bool(reporter.gauge("paused")),
            rate_per_s=_positive(reporter.gauge("rate_per_s")),
            spike_rate_per_s=_positive(reporter.gauge("spike_rate_per_s")),
            spike_until=_positive(reporter.gauge("spike_until")),
            ending=reporter.text.get("ending") or None,
        )

    def adopted(self) -> int:
        """The newest control version that every producer and analyzer follows; 0 before any of them reported."""
        return min((reporter.version for role in FOLLOWERS for reporter in self.role(role)), default=0)

    def _input_finished(self) -> bool:
        producers = len(self.role("producer"))
        finished = self.highest("queue", "producers_finished") or 0
        return bool(self.highest("queue", "input_closed")) or (producers > 0 and finished >= producers)


def _positive(value: float | None) -> float | None:
    """Gauges carry no None: the control actor reports 0 for what is not set."""
    return value if value is not None and value > 0 else None
