"""The adaptive concurrency against simulated servers: as much as they can do, no later than need be, and never less without cause."""

from statistics import mean
from typing import Any, Literal

import pytest

from helix_ray.throttle.tier.concurrency import Concurrency
from support.capacity_world import CapacityWorld

SEEDS = range(3)
SEED = pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[1:])])


def world(most: int = 128, **shape: Any) -> CapacityWorld:
    return CapacityWorld(Concurrency(most), workers=most, **shape)


@pytest.mark.parametrize("kind", ["shared", "queue"])
@pytest.mark.parametrize(
    ("capacity", "noise", "lengths"),
    [
        pytest.param(8, 0.4, 0.8),
        *(pytest.param(*shape, marks=pytest.mark.slow) for shape in ((24, 0.2, 0.4), (24, 0.4, 0.8), (40, 0.4, 0.8))),
    ],
)
def test_a_hidden_capacity_is_used_and_not_queued_at(kind: Literal["shared", "queue"], capacity: int, noise: float, lengths: float) -> None:
    scores: dict[str, list[tuple[float, float]]] = {"found": [], "halved": [], "back": [], "long": []}
    for seed in SEEDS:
        server = world(capacity=capacity, kind=kind, noise=noise, lengths=lengths, seed=seed)
        server.run(30)
        scores["found"].append(server.scores(150))
        server.capacity = capacity / 2
        server.run(180)  # half a minute to notice
        scores["halved"].append(server.scores(240))
        server.capacity = capacity
        server.run(270)
        scores["back"].append(server.scores(330))
        scores["long"].append(server.scores(600))
    few = 0.02 if capacity == 8 else 0.0  # of 4, one more or less is a quarter
    for time, found in scores.items():
        assert mean(throughput for throughput, _ in found) >= 0.95 - (few if time == "halved" else 0.0), time
        assert mean(p95 for _, p95 in found) <= 1.5, time


@pytest.mark.parametrize("most", [1, 3, 32, pytest.param(256, marks=pytest.mark.slow)])
@SEED
def test_without_a_capacity_to_find_the_run_is_not_held_back(most: int, seed: int) -> None:
    server = world(most, noise=0.4, lengths=0.8, seed=seed)
    server.run(20)
    assert server.controller.limit == most
    server.run(620)
    assert server.least_limit(20) == most, "noise alone lowers nothing"


@SEED
def test_a_few_requests_a_second_never_lower_it(seed: int) -> None:
    server = world(64, rate=3.0, noise=0.4, lengths=0.8, seed=seed)
    server.run(600)
    assert server.least_limit(0.0) == 4
    assert len(server.done) >= 0.98 * 3.0 * 595


@SEED
def test_latency_that_rises_a_little_with_load_is_no_capacity(seed: int) -> None:
    server = world(64, soft=0.4, noise=0.3, lengths=0.6, seed=seed)
    server.run(120)
    assert server.scores(600)[0] * (1 + 0.4) >= 0.95


@pytest.mark.parametrize("slowness", [1.3, 3.0])
@SEED
def test_a_server_that_becomes_slower_for_other_reasons_is_a_new_base(seed: int, slowness: float) -> None:
    server = world(64, noise=0.3, lengths=0.6, seed=seed)
    server.run(60)
    server.slowness = slowness
    server.run(180)
    assert server.controller.limit == 64
    assert server.scores(600)[0] * slowness >= 0.95


@SEED
def test_a_slower_server_with_a_capacity_keeps_its_capacity(seed: int) -> None:
    server = world(128, capacity=24, noise=0.3, lengths=0.6, seed=seed)
    server.run(60)
    server.slowness = 1.5
    server.run(180)
    throughput, p95 = server.scores(600)
    assert throughput * 1.5 >= 0.95
    assert p95 <= 1.5 * 1.5


@SEED
def test_refusals_cut_once_a_round_trip_and_growth_returns(seed: int) -> None:
    server = world(64, refuses_above=20, noise=0.3, lengths=0.6, seed=seed)
    server.run(60)
    refused = len(server.refused)
    in_use = server.scores(360)[0] * 64 / 20
    assert in_use >= 0.7
    assert len(server.refused) - refused <= 0.01 * len(server.done)
    server.refuses_above = None
    server.run(420)
    assert server.controller.limit == 64


def test_it_is_lowered_to_one_and_no_further() -> None:
    controller = Concurrency(64)
    for second in range(0, 100, 10):
        controller.overloaded(float(second))
    assert controller.limit == 1
    controller.overloaded(200.0)
    assert controller.limit == 1


def test_a_burst_of_refusals_is_one() -> None:
    controller = Concurrency(100)
    now = 0.0
    while controller.limit < 100:
        now += 0.05
        controller.answered(0.5, 300, controller.limit, now)
    controller.answered(0.5, 300, 100, now)
    for _ in range(50):
        controller.overloaded(now)
        now += 0.005
    assert controller.limit == 70


def test_most_bounds_it_at_once() -> None:
    controller = Concurrency(64)
    controller.most = 2
    assert (controller.limit, controller.most) == (2, 2)
    controller.most = 0
    assert (controller.limit, controller.most) == (1, 1)
