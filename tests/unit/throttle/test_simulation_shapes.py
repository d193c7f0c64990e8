"""The throttle in the situations that systems of its kind are compared in, in simulated time."""

from __future__ import annotations

from typing import Any

import pytest

from helix_ray.config import ThrottleConfig
from helix_ray.throttle.limits.limit_set import DAY_S
from support.throttle_world import World

STEADY: dict[str, Any] = {
    "tokens_per_minute": 36_000,
    "requests_per_minute": 600,
    "prompt_tokens": 130,  # and 175 in the mean for the answer
    "records": 400,
    "in_flight": 32,
    "latency_s": (0.2, 0.6),
}
WATCHED_S = 3600.0
PROBES = WATCHED_S / 45 + 4
"""While the provider's own day is used up, a lone request asks every 45 s, and sooner at first, whether that is still so."""


@pytest.mark.parametrize("refund", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_400_records_at_36_000_tokens_a_minute(seed: int, refund: bool) -> None:
    world = World(**STEADY, refund=refund, seed=seed)
    world.run(900)
    assert world.served == 400
    assert world.limited == []
    assert world.utilisation(world.ended_at) >= 0.985


@pytest.mark.parametrize("configured", [None, 60])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_run_bound_by_requests(seed: int, configured: int | None) -> None:
    config = ThrottleConfig(max_cost_usd=1e6, requests_per_minute=configured)
    shape: dict[str, Any] = {**STEADY, "tokens_per_minute": 250_000, "requests_per_minute": 60, "records": 200}
    world = World(**shape, refund=True, config=config, seed=seed)
    world.run(900)
    assert world.served == 200
    assert len(world.limited) <= (0 if configured else 32)
    assert world.served / (60 * (1 + world.ended_at / 60)) >= 0.97


@pytest.mark.parametrize("known", ["configured", "by header"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_run_bound_by_the_days_requests(seed: int, known: str) -> None:
    limit, watched_s = 300.0, WATCHED_S
    config = ThrottleConfig(max_cost_usd=1e6, requests_per_day=300 if known == "configured" else None)
    shown = {"requests_per_day": limit} if known == "by header" else {}
    world = World(**{**STEADY, "tokens_per_minute": 250_000, "records": None, **shown}, refund=True, config=config, seed=seed)
    world.run(watched_s)
    available = limit * (1 + watched_s / DAY_S)
    assert 0.985 * available <= world.served <= available
    assert len(world.limited) <= (0 if known == "configured" else PROBES)


@pytest.mark.parametrize("configured", [None, 100_000])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_run_bound_by_the_days_tokens(seed: int, configured: int | None) -> None:
    limit, watched_s = 100_000.0, WATCHED_S
    config = ThrottleConfig(max_cost_usd=1e6, tokens_per_day=configured)
    shape = {**STEADY, "tokens_per_minute": 250_000, "records": None, "tokens_per_day": limit}
    world = World(**shape, refund=True, config=config, seed=seed)
    world.run(watched_s)
    available = limit * (1 + watched_s / DAY_S)
    assert 0.985 * available <= world.served_tokens <= available
    assert len(world.limited) <= (0 if configured else 32 + PROBES)


@pytest.mark.parametrize(("tokens_per_minute", "per_s", "in_flight"), [(250_000, 2083, 64), (36_000, 300, 32)])
@pytest.mark.parametrize("seed", [1, 4, 7])
def test_with_a_second_client_that_takes_half(tokens_per_minute: int, per_s: float, in_flight: int, seed: int) -> None:
    world = World(tokens_per_minute, refund=True, neighbour_per_s=per_s, in_flight=in_flight, seed=seed)
    world.run(300)
    assert len(world.limited) <= 0.3 * world.served
    assert world.served_tokens >= 0.95 * (tokens_per_minute * 6 - per_s * 300)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_large_requests_wait_no_more_than_twice_as_long(seed: int) -> None:
    world = World(60_000, refund=True, large_share=0.05, prompt_tokens=300, seed=seed, in_flight=64)
    world.run(1200)
    assert world.limited == []
    large, small = (sorted(world.waited[kind]) for kind in (True, False))
    assert len(large) > 40
    assert large[int(0.99 * len(large))] <= 2 * small[int(0.99 * len(small))]
    longest = max(1200 - asked_at for asked_at, _ in world.asked_at.values())
    assert longest <= 2 * small[-1], "nobody starves"
