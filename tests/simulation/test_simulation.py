"""Runs from seeds keep every promise, the same seed gives the same run, and a planted bug is seen."""

import os
from pathlib import Path

import pytest

from simulation.bugs import BUGS, HARSH, PLANS, planted
from simulation.judge import violations
from simulation.plans import plan_of
from simulation.world import World

SEEDS = 500
MANY_SEEDS = 20_000
PARTS = 10
ENOUGH = 60
"""Runs within which each planted bug has been seen by far."""


def run(seed: int, folder: Path) -> World:
    world = World(seed, plan_of(seed), folder)
    world.run()
    return world


@pytest.mark.parametrize("part", range(PARTS))
def test_seeds(part: int, tmp_path: Path) -> None:
    failed = {seed: found for seed in range(part, SEEDS, PARTS) if (found := violations(run(seed, tmp_path)))}
    assert not failed


@pytest.mark.peer
@pytest.mark.timeout(14_400)
def test_many_seeds(tmp_path: Path) -> None:
    """CHAOS_COUNT of them, or if that is 0 MANY_SEEDS."""
    many = int(os.environ.get("CHAOS_COUNT", "0")) or MANY_SEEDS
    kills, failed = 0, {}
    for seed in range(many):
        world = run(seed, tmp_path)
        kills += sum(" kill " in line for line in world.spoken)
        if found := violations(world):
            failed[seed] = found
    print(f"{many} seeds with {kills} kills: {len(failed)} failed")
    assert not failed


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    first, second = ([World(seed, plan_of(seed), tmp_path).run() for seed in range(10)] for _ in range(2))
    assert first == second
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("name", sorted(BUGS))
def test_a_planted_bug_is_seen(name: str, tmp_path: Path) -> None:
    plan = PLANS.get(name, HARSH)
    with planted(name):
        worlds = (World(seed, plan, tmp_path) for seed in range(ENOUGH))
        assert any(world.run() and violations(world) for world in worlds)


def test_without_a_bug_nothing_is_seen(tmp_path: Path) -> None:
    for plan in {HARSH, *PLANS.values()}:
        for seed in range(5):
            world = World(seed, plan, tmp_path)
            world.run()
            assert not violations(world)
