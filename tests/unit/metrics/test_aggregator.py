"""From reports to one snapshot and its history."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from helix_ray.metrics.aggregator import RECENT, MetricsAggregator
from helix_ray.metrics.history import REPORT_POINTS, History, as_columns, from_columns
from helix_ray.metrics.pace import STAGES
from helix_ray.metrics.recent import RecentRead
from helix_ray.metrics.reports import ProcessReport
from helix_ray.metrics.snapshot import CommandView, HistoryPoint, MetricsSnapshot, RunInfo, as_json, parts_by_node
from helix_ray.records import ControlEvent, ControlOutcome, Disposition, Read, ReadResult, ScoredVariant
from helix_ray.scoring.summary import precision_of, recall_of
from helix_ray.scoring.tally import Counts
from helix_ray.throttle.messages import BucketStats
from support.actor_reports import REPORTS, empty_report, process_report

UNIX = 1_700_000_000.0
OF_PROCESS = {item.name for item in fields(ProcessReport)}


class Rig:
    """An aggregator and a clock that one hand moves."""

    def __init__(self) -> None:
        self.aggregator = MetricsAggregator()
        self.now = 0.0

    def second(self, **sources: dict[str, Any]) -> None:
        self.now += 1.0
        for source, values in sources.items():
            self.say(f"helix-{source.replace('_', '-')}", **values)

    def say(self, source: str, version: int = 0, **values: Any) -> int:
        """``values`` are fields of the actor's report, or of its process."""
        process = {name: values.pop(name) for name in values.keys() & OF_PROCESS}
        report = empty_report(REPORTS[source.split("-")[1]], **values)
        return self.aggregator.report(source, report, process_report(**process), version, self.now, unix_now=UNIX + self.now)

    @property
    def snapshot(self) -> MetricsSnapshot:
        return self.aggregator.snapshot(self.now, UNIX + self.now)


def test_before_the_first_report_nothing_is_known_and_nothing_is_invented() -> None:
    snapshot = Rig().snapshot
    assert snapshot.state == "STARTING"
    assert (snapshot.rates.offered, snapshot.rates.stored, snapshot.money.max_cost_usd, snapshot.latency.p95) == (None,) * 4
    assert snapshot.accuracy == {}


def test_rates_are_over_the_last_ten_seconds() -> None:
    rig = Rig()
    for second in range(30):
        fast = 100 * second if second < 15 else 1500 + 10 * (second - 15)
        rig.second(queue={"admitted": 1_000_000 + fast}, sink={"committed_reads": 5 * second})
    assert rig.snapshot.rates.offered == 10
    assert rig.snapshot.rates.stored == 5
    assert rig.snapshot.totals.produced == 1_000_000 + 1500 + 140


def test_a_rate_that_nobody_reports_any_more_is_unknown() -> None:
    rig = Rig()
    for second in range(5):
        rig.second(queue={"admitted": second})
    assert rig.snapshot.rates.offered == 1
    rig.now += 60
    assert rig.snapshot.rates.offered is None


def test_history_has_a_point_a_second_gaps_where_nothing_was_heard_and_a_bound() -> None:
    rig = Rig()
    for _ in range(3):
        rig.second(queue={"waiting": 4}, sink={"committed_reads": 0})
    rig.now += 10
    rig.second(queue={"waiting": 5})
    assert [point.t - UNIX for point in rig.aggregator.history(0)] == [1, 2, 3], "the sink has not spoken since"
    rig.second(queue={"waiting": 5}, sink={"committed_reads": 0})
    assert [point.t - UNIX for point in rig.aggregator.history(0)] == [1, 2, 3, 15]
    assert [point.t - UNIX for point in rig.aggregator.history(UNIX + 2)] == [3, 15]


def test_what_was_done_during_a_gap_is_no_peak_after_it() -> None:
    rig = Rig()

    def second(done: int) -> None:
        """Each reports at its own time of the second."""
        for source, values in (("queue", {"admitted": 10 * done}), ("producer-0", {}), ("sink", {"committed_reads": 10 * done})):
            rig.now += 0.25 if source == "queue" else 0.375
            rig.say(f"helix-{source}", **values)

    for done in range(12):
        second(done)
    rig.now += 8
    for done in range(20, 40):
        second(done)
        assert rig.snapshot.rates.stored in (None, 10)
    assert rig.snapshot.rates.stored == 10
    assert max(rate or 0 for point in rig.aggregator.history(0) for rate in (point.offered, point.stored)) == 10


def test_an_hour_by_seconds_and_before_it_a_day_by_half_minutes() -> None:
    history = History()
    for second in range(26 * 3600):
        history.add(point(second, waiting=second % 7, stored=2.0))
    points = history.since(0)
    fine = [each for each in points if each.step_s == 1]
    coarse = points[: -len(fine)]
    assert (len(fine), len(coarse), points[-1].t) == (3600, 2761, 26 * 3600 - 1)
    assert all(earlier.t < later.t for earlier, later in pairwise(points))
    assert {(each.waiting, each.stored, each.blocked, each.spent_usd) for each in coarse} == {(6, 2.0, None, None)}
    columns = as_columns(points)
    assert columns is not None
    assert len(columns["t"]) <= REPORT_POINTS
    assert as_columns([]) is None
    assert [each.waiting for each in from_columns(columns)] == columns["waiting"]
    assert max(columns["waiting"]) == 6


def test_what_is_not_known_is_none_in_the_history_too() -> None:
    rig = Rig()
    rig.second(sink={"committed_reads": 0})
    (first,) = rig.aggregator.history(0)
    unknown = replace(first, t=0.0, step_s=1.0)
    assert {getattr(unknown, item.name) for item in fields(unknown) if item.name not in ("t", "step_s")} == {None}


def test_pace_progress_and_money() -> None:
    rig = Rig()
    rig.aggregator.run = RunInfo(run_id="r", reads_requested=1000, rows_before=200, started_at=UNIX - 60)
    assert (rig.snapshot.progress, rig.snapshot.eta_s, rig.snapshot.elapsed_s) == (None, None, 60)
    for second in range(31):
        spent = {"spent_usd": Decimal("0.4") + Decimal(second) / 1000, "max_cost_usd": Decimal(1)}
        rig.second(sink={"committed_reads": 10 * second}, throttle=spent, analyzer_0={"cost_usd": second / 1000})
    snapshot = rig.snapshot
    assert (snapshot.progress, snapshot.eta_s, snapshot.elapsed_s) == (0.5, 50, 91)
    assert snapshot.money.usd_per_hour == pytest.approx(3.6, rel=0.05)
    assert snapshot.money.cap_in_s == pytest.approx(570, rel=0.05)
    rig.aggregator.run = replace(rig.aggregator.run, status="stopped")
    rig.now += 100
    assert (rig.snapshot.eta_s, rig.snapshot.elapsed_s) == (None, 91), "an hour of --hold is none of the run's"


def point(t: float, waiting: int, stored: float) -> HistoryPoint:
    return HistoryPoint(t, waiting, None, None, None, None, stored, None, None, None, None)


def test_the_newest_reads_come_first_and_alerts_are_those_with_a_mutation() -> None:
    aggregator = MetricsAggregator()
    aggregator.add_recent(RecentRead(index, f"hx{index}", "stored", mutation_detected=index % 2 == 0) for index in range(200))
    snapshot = aggregator.snapshot(0, UNIX)
    assert [read.read_index for read in snapshot.recent_reads] == list(range(199, 199 - RECENT, -1))
    assert [read.read_index for read in snapshot.recent_alerts] == list(range(198, 198 - 2 * RECENT, -2))


def test_the_adopted_version_is_the_lowest_of_producers_and_analyzers() -> None:
    rig = Rig()
    rig.say("helix-control", 4, paused=True)
    rig.say("helix-producer-0", 4)
    assert rig.say("helix-analyzer-0", 3) == 3
    control = rig.snapshot.control
    assert (control.version, control.adopted, control.paused, control.rate_per_s) == (4, 3, True, None)


def test_buckets_money_and_accuracy_are_put_together() -> None:
    rig = Rig()
    rig.aggregator.run = RunInfo("r", max_cost_usd=5.0, reads_requested=2000, started_at=1767225600.0, cost_before_usd=0.125)
    assert (rig.snapshot.money.spent_usd, rig.snapshot.money.max_cost_usd) == (0.125, 5.0)
    rig.say("helix-throttle")
    assert rig.snapshot.money.spent_usd == 0.125, "it was not yet told what earlier sessions spent"
    rpm = BucketStats(1000, "discovered", 20, 0.0, 0.0, 1000, 0.0)
    money = {"spent_usd": Decimal("0.25"), "reserved_usd": Decimal("0.05"), "max_cost_usd": Decimal(1)}
    rig.say("helix-throttle", buckets={"RPM": rpm}, binding="RPM", **money)
    score = {("type", "SNV"): Counts(tp=8, fn=2), ("gc", "0.3-0.4"): Counts(tp=8)}
    rig.say("helix-analyzer-0", score=score, cost_usd=0.2)
    rig.say(
        "helix-analyzer-1",
        score={("type", "SNV"): Counts(tp=1, fp=1)},
        ceiling={("type", "SNV"): Counts(tp=9, fn=2)},
        off_by={-1: 1},
        reads={"exact": 3},
    )
    snapshot = rig.snapshot
    (bucket,) = snapshot.throttle.buckets
    assert (bucket.name, bucket.headroom, bucket.source) == ("RPM", 0.02, "discovered")
    assert (snapshot.money.spent_usd, snapshot.money.max_cost_usd, snapshot.money.share) == (0.25, 1.0, 0.3)
    ((level, snv),) = snapshot.accuracy.items()
    assert (level, precision_of(snv), recall_of(snv)) == ("SNV", 0.9, 9 / 11)
    ((level, ceiling),) = snapshot.ceiling.items()
    assert (level, precision_of(ceiling), recall_of(ceiling)) == ("SNV", 1.0, 9 / 11)
    ((dimension, levels),) = snapshot.strata.items()
    assert (dimension, next(iter(levels)), levels["0.3-0.4"].tp) == ("gc", "0.3-0.4", 8)
    printed = as_json(snapshot)
    assert list(printed) == list(MetricsSnapshot.__dataclass_fields__)
    assert printed["accuracy"] == [{"level": "SNV", **snv._asdict()}]
    assert list(printed["ceiling"][0]) == ["level", *Counts._fields]
    assert printed["strata"] == [{"dimension": "gc", "levels": [{"level": "0.3-0.4", **Counts(tp=8)._asdict()}]}]
    assert (printed["read_sums"]["exact"], printed["off_by"]) == (3, ((-1, 1),))
    assert (snapshot.off_by, snapshot.read_sums.exact) == (((-1, 1),), 3)
    assert (snapshot.run.reads_requested, snapshot.run.started_at) == (2000, 1767225600.0)


def test_what_the_throttle_is_held_by_and_how_the_api_fails() -> None:
    rig = Rig()
    rig.aggregator.run = RunInfo(run_id="r")
    said = {"binding": "daily", "breaker": "half_open", "parked": "TPD"}
    numbers = {"parked_for_s": 12, "next_probe_in_s": 8, "concurrency": 6, "authorised_usd": Decimal("0.5")}
    rig.say("helix-throttle", **said, **numbers, in_flight=1)
    rig.say("helix-analyzer-0", requests_in_flight=32, failed={"server": 2, "capacity": 5}, tier={"flex": 9}, resent=4)
    rig.say("helix-analyzer-1", requests_in_flight=32, failed={"server": 4}, tier={"on_demand": 1, "flex": 1})
    snapshot = rig.snapshot
    throttle, totals = snapshot.throttle, snapshot.totals
    assert (throttle.parked, throttle.parked_for_s, throttle.next_probe_in_s, throttle.is_parked) == ("TPD", 12, 8, True)
    assert (throttle.breaker, throttle.concurrency, snapshot.slots, snapshot.money.authorised_usd) == ("half_open", 6, 64, 0.5)
    assert (totals.failures, totals.failures_by_kind) == (11, (("server", 6), ("capacity", 5)))
    assert (totals.reads_by_tier, totals.resent) == ((("flex", 10), ("on_demand", 1)), 4)
    assert (snapshot.state, snapshot.bottleneck.name) == ("PARKED", "daily limit")
    rig.say("helix-throttle", **said | {"binding": "TPM"}, in_flight=20)
    assert rig.snapshot.state == "RUNNING", "another tier goes on"


def test_a_sink_that_holds_back_is_seen_in_the_analyzers_time() -> None:
    rig = Rig()
    for second in range(12):
        rig.second(
            analyzer_0={"held_back_s": 0.8 * second, "intent_wait_s": 3.0 * second},
            analyzer_1={"held_back_s": 0.4 * second, "intent_wait_s": 1.0 * second},
            throttle={"in_flight": 16},
        )
    rig.say("helix-throttle", in_flight=1)  # of this moment: it is the average that counts
    sink = rig.snapshot.sink
    assert (round(sink.holds_back or 0, 3), round(sink.intents_share or 0, 2)) == (0.6, 0.25)
    assert rig.snapshot.bottleneck.name == "sink"


def test_what_the_machine_and_the_actors_have_to_do() -> None:
    rig = Rig()
    rig.say("helix-analyzer-0", cpu_share=0.9, loop_busy=0.8, loop_lag_ms=12.0, machine_cores=2, machine_busy=0.97)
    rig.say("helix-throttle", cpu_share=0.3, machine_cores=2, machine_busy=0.95)
    machine = rig.snapshot.machine
    assert (machine.cores, machine.busy, round(machine.ours or 0, 3)) == (2, 0.97, 0.6)
    (analyzer, _) = rig.snapshot.actors
    assert (analyzer.cpu_share, analyzer.loop_busy, analyzer.loop_lag_ms) == (0.9, 0.8, 12.0)


def test_on_a_cluster_the_busiest_node_counts_and_each_part_has_its_node() -> None:
    rig = Rig()
    rig.aggregator.run = replace(rig.aggregator.run, driver_node="10.0.0.1/aa")
    rig.say("helix-analyzer-0", cpu_share=0.9, machine_cores=2, machine_busy=0.97, node="10.0.0.2/bb")
    rig.say("helix-throttle", cpu_share=0.3, machine_cores=8, machine_busy=0.5, node="10.0.0.1/aa")
    machine = rig.snapshot.machine
    assert (machine.cores, machine.busy, machine.ours, machine.nodes) == (2, 0.97, 0.45, 2)
    assert parts_by_node(rig.snapshot) == {"10.0.0.1/aa": ["driver", "throttle"], "10.0.0.2/bb": ["analyzer-0"]}


def test_states() -> None:
    rig = Rig()
    rig.second(queue={"waiting": 1, "capacity": 500}, producer_0={}, analyzer_0={})
    assert rig.snapshot.state == "RUNNING"
    rig.say("helix-control", paused=True)
    assert rig.snapshot.state == "PAUSED"
    rig.say("helix-sink", outage_s=3.0, buffered=7, unacked=1)
    assert (rig.snapshot.state, rig.snapshot.queue.in_sink) == ("DEGRADED", 8)
    rig.say("helix-sink", outage_s=0.0)
    rig.say("helix-control", 1, ending="drain")
    assert rig.snapshot.state == "DRAINING"
    rig.aggregator.run = replace(rig.aggregator.run, status="limited", reason="the budget is used up")
    assert (rig.snapshot.state, rig.snapshot.reason) == ("LIMITED", "the budget is used up")


def test_a_silent_actor_degrades_the_run_unless_its_work_is_done() -> None:
    rig = Rig()
    rig.second(queue={"waiting": 1}, producer_0={}, sink={})
    rig.now += 6
    rig.say("helix-queue", waiting=1, producers_finished=1)
    rig.say("helix-sink")
    assert rig.snapshot.state == "RUNNING"
    rig.now += 6
    rig.say("helix-queue", waiting=1, producers_finished=1)
    assert rig.snapshot.state == "DEGRADED"
    assert "helix-sink" in rig.snapshot.reason


FULL_QUEUE: dict[str, dict[str, Any]] = {
    "producer_0": {"blocked_seconds": 1.0, "generate_s": 0.01},
    "queue": {"waiting": 480, "capacity": 500, "blocked_seconds": 1.0, "admitted": 20},
    "throttle": {"in_flight": 64},
    "analyzer_0": {"requests_in_flight": 64, "analysed": 20},
    "sink": {"committed_reads": 20, "commit_s": 0.1},
}
WAITING = {"waiting": 30, "in_flight": 10, "binding": "TPM", "buckets": {"TPM": BucketStats(250_000, "configured", 9, 0.0, 0.0, 1, 1.0)}}

HUNGRY = {"producer_0": {"blocked_seconds": 0.1}, "queue": {"waiting": 2, "blocked_seconds": 0.0}, "throttle": {"in_flight": 5}}


@pytest.mark.parametrize(
    ("changes", "name", "stage"),
    [
        ({}, "API latency", "analyzers"),
        ({"throttle": WAITING}, "tokens", "throttle"),
        ({"throttle": WAITING | {"binding": "retries"}}, "API latency", "analyzers"),
        ({"analyzer_0": {"held_back_s": 0.6}, "sink": {"commit_s": 0.95}}, "sink", "sink"),
        ({"queue": {"loop_busy": 0.97}}, "pipeline CPU", "queue"),
        (HUNGRY, "producer", "source"),
    ],
)  # fmt: skip
def test_the_first_stage_that_is_not_blocked_is_the_one_that_is_waited_for(changes: Any, name: str, stage: str) -> None:
    rig = Rig()
    growing = {"blocked_seconds", "generate_s", "admitted", "analysed", "committed_reads", "commit_s", "held_back_s"}
    for second in range(15):
        given = {source: values | changes.get(source, {}) for source, values in FULL_QUEUE.items()}
        rig.second(**{
            source: {key: value * second if key in growing else value for key, value in values.items()} for source, values in given.items()
        })  # fmt: skip
    snapshot = rig.snapshot
    assert (snapshot.bottleneck.name, snapshot.bottleneck.stage) == (name, stage)
    assert next(it.name for it in snapshot.stages if it.blocked is not None and it.blocked < 0.3) == stage
    assert all(round((it.busy or 0) + (it.blocked or 0) + (it.idle or 0), 3) == 1 for it in snapshot.stages)


def test_of_a_stage_that_has_not_reported_nothing_is_known() -> None:
    rig = Rig()
    assert [(it.name, it.busy) for it in rig.snapshot.stages] == [(name, None) for name in STAGES]
    for _ in range(3):
        rig.second(sink={})
    assert [it.name for it in rig.snapshot.stages if it.idle is not None] == ["sink"]


def test_commands_reach_the_snapshot_with_their_times() -> None:
    asked = datetime.fromtimestamp(UNIX, UTC)
    event = ControlEvent("r", "spike", "page", asked, value_to='{"spike_rate_per_s": 50.0, "spike_until": 1.0}')
    outcome = ControlOutcome(True, acknowledged_at=asked + timedelta(seconds=1), in_effect_at=None)
    rig = Rig()
    rig.say("helix-control", 1, commands=(CommandView.of(event, outcome),), spike_refusal="no rate")
    (shown,) = rig.snapshot.commands
    assert (shown.action, shown.value, shown.asked_at, shown.acknowledged_at, shown.in_effect_at) == ("spike", 50, UNIX, UNIX + 1, None)
    assert (rig.snapshot.control.can_spike, rig.snapshot.control.spike_refusal) == (False, "no rate")


def test_the_bases_of_a_recent_read_are_bases_and_its_marks_say_what_was_found() -> None:
    variants = [
        ScoredVariant("truth", 9, "A", "C", "SNV", "snv", None, None, "FN", None),
        ScoredVariant("truth", 2, "A", "T", "SNV", "snv", None, None, "TP", None),
        ScoredVariant("call", 2, "A", "T", "SNV", None, 0.9, "ok", "TP", None),
        ScoredVariant("call", 5, "A", "G" * 30, "INS", None, 0.9, "ok", "FP", None),
        ScoredVariant("call", 7, "A", "G", "SNV", None, 0.9, "ok", None, None),
        ScoredVariant("baseline", 7, "A", "G", "SNV", None, 0.9, "ok", None, None),
    ]
    read = Read(7, "hx7", "chr1", 100, "+", "acgtn" * 80, "ACGT<b>", None, (), True, None, None, None)
    recent = RecentRead.from_result(ReadResult(read, Disposition.STORED, variants))
    assert (recent.ref_start, recent.ref_seq, recent.seq) == (100, "ACGTN" * 80, None)
    assert [(mark.pos, mark.kind) for mark in recent.marks] == [(2, "found"), (5, "invented"), (7, "unscored"), (9, "missed")]
    assert recent.marks[1].alt == "G" * 11 + "…"
    assert RecentRead.from_result(ReadResult(read._replace(seq="A" * 401), Disposition.STORED, variants * 9)).seq is None
    assert len(RecentRead.from_result(ReadResult(read, Disposition.STORED, variants * 9)).marks) == 8
