"""The part that the run waits for: a scripted scenario for each name."""

from dataclasses import replace

import pytest

from helix_ray.metrics.bottleneck import find_bottleneck
from helix_ray.metrics.snapshot import (
    ActorView,
    BucketView,
    ControlView,
    Latency,
    MachineView,
    MetricsSnapshot,
    Money,
    QueueView,
    Rates,
    RunInfo,
    SinkView,
    ThrottleView,
    Totals,
)

RPM = BucketView("RPM", 1000, 3)
TPM = BucketView("TPM", 250_000, 500)
FLEX = BucketView("TPM flex", 2_500_000, 100)
ROOMY = BucketView("RPM", 1000, 900)
BUSY = MetricsSnapshot(
    as_of=0.0,
    rates=Rates(20, 20, 20),
    queue=QueueView(waiting=480, leased=64, blocked=True),
    throttle=ThrottleView((ROOMY,), in_flight=64, concurrency=64),
    slots=64,
    latency=Latency(900, 1500, 2000),
    actors=(ActorView("helix-analyzer-0", 0.5, loop_busy=0.2, loop_lag_ms=2), ActorView("helix-throttle", 0.5, loop_busy=0.05)),
    machine=MachineView(2, 0.4, 0.2),
)
"""Full queue, all request slots in use, nothing else out of the ordinary."""

WAITING = replace(BUSY.throttle, waiting=30, in_flight=34)
HUNGRY = replace(BUSY, queue=QueueView(waiting=2, leased=5), throttle=ThrottleView(in_flight=5, concurrency=64))


def throttle(**changes: object) -> MetricsSnapshot:
    return replace(BUSY, throttle=replace(WAITING, **changes))  # type: ignore[arg-type]


def actor(name: str, **values: float) -> MetricsSnapshot:
    return replace(BUSY, actors=(*BUSY.actors, ActorView(name, 0.5, **values)))  # type: ignore[arg-type]


SCENARIOS = [
    ("paused", replace(BUSY, control=ControlView(paused=True)), "resume"),
    ("budget", throttle(budget_exhausted=True), "throttle.max_cost_usd"),
    ("budget", replace(throttle(binding="budget"), money=Money(0.99, 0.005, 1.0, authorised_usd=1.0)), "$0.9900 spent"),
    ("sink", replace(BUSY, sink=SinkView(outage_s=3)), "not answered for 3 s"),
    ("sink", replace(BUSY, sink=SinkView(holds_back=0.6, commit_ms_p50=2500)), "a commit takes 2,500 ms; look at the database's disk"),
    ("sink", replace(BUSY, sink=SinkView(holds_back=0.6, commit_ms_p50=12)), "a commit takes 12 ms; it is not the database"),
    ("sink", replace(BUSY, sink=SinkView(holds_back=0.6)), "wait for their commit; this sink has committed nothing yet"),
    ("sink", replace(BUSY, sink=SinkView(intents_share=0.7)), "for 70 % of its time"),
    ("sink", replace(throttle(binding="budget"), money=Money(0.2, 0.01, 1.0, authorised_usd=0.22)), "on record what more may be spent"),
    ("daily limit", throttle(parked="TPD", parked_for_s=30, next_probe_in_s=12, in_flight=0), "next try in 12 s"),
    ("daily limit", throttle(parked="RPD", in_flight=1), "a request tries it now"),
    ("daily limit", throttle(binding="daily"), "on_daily_limit"),
    ("daily limit", throttle(binding="RPD"), "requests wait for RPD"),
    ("requests", throttle(buckets=(RPM, TPM), binding="RPM"), "reads_per_request"),
    ("requests", throttle(buckets=(RPM,)), "3 of 1,000 a minute left"),
    ("requests", throttle(gate_closed_for_s=7), "another 7 s"),
    ("tokens", throttle(buckets=(RPM, TPM), binding="TPM"), "500 of 250,000 a minute left"),
    ("tokens", throttle(buckets=(ROOMY, FLEX), binding="TPM flex"), "TPM flex"),
    ("tokens", throttle(buckets=(TPM,), binding="TPM", parked="TPD"), "another tier goes on while this one is parked"),
    ("tokens", throttle(binding="OTPM", gate_closed_for_s=7), "OTPM"),
    ("concurrency", throttle(binding="concurrency", concurrency=8, in_flight=8), "8 of 64"),
    ("concurrency", replace(BUSY, throttle=ThrottleView(in_flight=8, concurrency=8)), "bears 8"),
    ("API latency", throttle(breaker="open"), "keeps failing"),
    ("API latency", replace(throttle(binding="retries"), totals=Totals(failures_by_kind=(("server", 12),))), "server 12"),
    ("API latency", BUSY, "64 requests in flight of 64"),
    ("API latency", replace(BUSY, queue=QueueView(leased=5, input_finished=True), throttle=ThrottleView(in_flight=5)), "the last 5"),
    ("producer", HUNGRY, "source.rate_per_s"),
    ("producer", replace(HUNGRY, actors=(ActorView("helix-producer-0", 0.5, cpu_share=0.99),)), "source.producers"),
    ("producer", replace(HUNGRY, machine=MachineView(2, 1.0, 0.9)), "however busy the machine is"),
    ("pipeline CPU", actor("helix-analyzer-1", loop_busy=0.97), "helix-analyzer-1 uses a whole core"),
    ("pipeline CPU", actor("helix-queue", loop_busy=0.97), "batch_size"),
    ("pipeline CPU", replace(throttle(), actors=(ActorView("helix-throttle", 0.5, loop_busy=0.95),)), "helix-throttle"),
    ("pipeline CPU", actor("helix-analyzer-1", loop_lag_ms=250), "250 ms late"),
    ("pipeline CPU", replace(BUSY, machine=MachineView(2, 0.99, 0.7)), "70 % of them with this run"),
    ("pipeline CPU", replace(BUSY, run=RunInfo(backend="aligner"), throttle=ThrottleView(), slots=0), "analyzers compute"),
    ("none", MetricsSnapshot(as_of=0.0), ""),
    ("none", replace(BUSY, queue=QueueView(input_finished=True), throttle=ThrottleView()), ""),
]
NOT_SAID = {"another tier goes on while this one is parked", "however busy the machine is"}


@pytest.mark.parametrize(("name", "given", "said"), SCENARIOS, ids=[f"{name}-{number}" for number, (name, *_) in enumerate(SCENARIOS)])
def test_the_guilty_part_is_named_with_what_to_do(name: str, given: MetricsSnapshot, said: str) -> None:
    found = find_bottleneck(given)
    assert found.name == name
    assert said in NOT_SAID or said in found.reason


NAMES = ("requests", "tokens", "daily limit", "concurrency", "budget", "API latency", "sink", "producer", "pipeline CPU", "paused", "none")


def test_every_name_has_its_scenario_and_no_other_name_is_used() -> None:
    assert {find_bottleneck(given).name for _, given, _ in SCENARIOS} == set(NAMES)


@pytest.mark.parametrize(
    "given",
    [
        actor("helix-analyzer-1", loop_lag_ms=60),  # a small part of an answer that takes 900 ms
        replace(BUSY, machine=MachineView(2, 1.0, 0.1)),  # others use the machine, and nothing of ours is late
        replace(BUSY, sink=SinkView(holds_back=0.05, intents_share=0.1)),
        actor("helix-sink", loop_busy=0.99),
    ],
)
def test_what_does_not_hold_the_run_back_is_not_blamed(given: MetricsSnapshot) -> None:
    assert find_bottleneck(given).name == "API latency"


def test_a_limit_that_is_waited_for_comes_before_a_busy_core() -> None:
    busy = replace(throttle(buckets=(TPM,), binding="TPM"), actors=(ActorView("helix-analyzer-0", 0.5, loop_busy=1.0, loop_lag_ms=900),))
    assert find_bottleneck(busy).name == "tokens"


def test_what_a_request_waits_for_first_comes_before_the_record() -> None:
    assert find_bottleneck(replace(throttle(buckets=(TPM,), binding="TPM"), sink=SinkView(intents_share=0.9))).name == "tokens"
