"""The throttle against a model of the provider, in simulated time: no 429 for a limit that headers show, and no waste."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helix_ray.config import ThrottleConfig
from support.throttle_world import MAX_COMPLETION, World


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("handshake_s", [0.0, 0.4])
@pytest.mark.parametrize("configured", [None, 250_000])
def test_with_refunds_nothing_is_refused_and_nothing_is_wasted(seed: int, handshake_s: float, configured: int | None) -> None:
    config = ThrottleConfig(max_cost_usd=1e6, tokens_per_minute=configured)
    world = World(250_000, refund=True, seed=seed, handshake_s=handshake_s, config=config)
    stats = world.run(240)
    assert world.limited == []
    assert world.utilisation(240) >= 0.97
    assert stats.refunds is True
    assert stats.buckets["TPM"].utilisation == pytest.approx(world.utilisation(240), abs=0.01)
    assert stats.binding == "TPM"


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("handshake_s", [0.0, 0.4])
@pytest.mark.parametrize("limit", [8_000, 30_000, 250_000])
def test_without_refunds_nothing_is_refused(seed: int, handshake_s: float, limit: int) -> None:
    world = World(limit, refund=False, seed=seed, handshake_s=handshake_s)
    stats = world.run(300)
    assert world.limited == []
    assert world.utilisation(300) >= 0.95
    assert not stats.refunds


@pytest.mark.parametrize("limit", [8_000, 30_000, 1_000_000])
def test_other_tiers_with_refunds(limit: int) -> None:
    world = World(limit, refund=True, in_flight=64 if limit < 1e6 else 256)
    world.run(300)
    assert world.limited == []
    assert world.utilisation(300) >= 0.95


def test_a_bucket_that_is_not_full_at_the_start_is_seen_by_the_probe() -> None:
    world = World(250_000, refund=True, used_at_start=200_000)
    world.run(120)
    assert world.limited == []
    assert world.utilisation(120) >= 0.95


def test_estimates_that_are_too_low_are_scaled_up() -> None:
    world = World(250_000, refund=True, estimate=0.9)
    world.run(240)
    assert world.limited == []
    assert world.utilisation(240) >= 0.97


def test_requests_per_minute_are_met_when_configured() -> None:
    config = ThrottleConfig(max_cost_usd=1e6, requests_per_minute=60)
    world = World(250_000, refund=True, requests_per_minute=60, config=config)
    stats = world.run(300)
    assert world.limited == []
    assert world.served >= 0.98 * 60 * 6 - 5
    assert stats.binding == "RPM"


def test_requests_per_minute_are_learned_from_one_burst_of_refusals() -> None:
    world = World(250_000, refund=True, requests_per_minute=60)
    stats = world.run(300)
    assert {kind for _, kind in world.limited} == {"RPM"}
    first = world.limited[0][0]
    assert all(t < first + 0.2 for t, _ in world.limited), "only what was under way at the first refusal"
    assert world.served >= 0.95 * 60 * 6 - 5
    assert stats.buckets["RPM"].source == "discovered"


def test_a_safety_factor_keeps_its_distance() -> None:
    config = ThrottleConfig(max_cost_usd=1e6, safety_factor=0.8)
    world = World(250_000, refund=True, config=config)
    world.run(240)
    assert world.limited == []
    assert 0.76 <= world.utilisation(240) <= 0.8


def test_a_smaller_configured_limit_wins() -> None:
    config = ThrottleConfig(max_cost_usd=1e6, tokens_per_minute=100_000)
    world = World(250_000, refund=True, config=config)
    stats = world.run(240)
    assert world.served_tokens <= 100_000 * 5
    assert world.served_tokens >= 0.95 * 100_000 * 5
    assert stats.buckets["TPM"].source == "configured"


@given(
    limit=st.integers(3_000, 500_000),
    refund=st.booleans(),
    in_flight=st.integers(1, 40),
    seed=st.integers(0, 2**32),
    handshake_s=st.floats(0.0, 0.4),
    estimate=st.floats(1.0, 1.5),
    used=st.floats(0.0, 1.0),
)
@settings(max_examples=40, deadline=None)
def test_no_limit_that_headers_show_is_ever_met(
    limit: int, refund: bool, in_flight: int, seed: int, handshake_s: float, estimate: float, used: float
) -> None:
    world = World(
        limit, refund, in_flight, seed, handshake_s=handshake_s, estimate=estimate, used_at_start=used * (limit - MAX_COMPLETION - 1200)
    )
    world.run(60)
    assert world.limited == []
