"""The throttle against a model of the provider, in simulated time: no 429 for a limit that headers show, and no waste."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helix_ray.config import ThrottleConfig
from helix_ray.providers.rate_limits import DAY_S
from helix_ray.providers.readings import Trouble
from support.throttle_world import MAX_COMPLETION, World

SEED = pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])


@SEED
@pytest.mark.parametrize("handshake_s", [0.0, 0.4])
@pytest.mark.parametrize("configured", [None, 250_000])
def test_with_refunds_nothing_is_refused_and_nothing_is_wasted(seed: int, handshake_s: float, configured: int | None) -> None:
    config = ThrottleConfig(max_cost_usd=1e6, tokens_per_minute=configured)
    world = World(250_000, refund=True, seed=seed, handshake_s=handshake_s, config=config)
    stats = world.run(240)
    assert world.limited == []
    assert world.utilisation(240) >= 0.97
    assert stats.buckets["TPM"].utilisation == pytest.approx(world.utilisation(240), abs=0.01)
    assert stats.binding == "TPM"


@SEED
@pytest.mark.parametrize("handshake_s", [0.0, 0.4])
@pytest.mark.parametrize("limit", [8_000, 30_000, 250_000])
def test_a_server_that_keeps_unused_reservations_is_found_out(seed: int, handshake_s: float, limit: int) -> None:
    world = World(limit, refund=False, seed=seed, handshake_s=handshake_s)
    world.run(300)
    assert len(world.limited) <= 2 + 0.02 * world.served
    assert world.utilisation(300) >= 0.95


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
    later = [t for t, _ in world.limited if t > first + 0.2]
    assert len(later) <= 6, "beside what was under way at the first refusal, only tries whether there is more by now"
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
    in_flight=st.integers(1, 40),
    seed=st.integers(0, 2**32),
    handshake_s=st.floats(0.0, 0.4),
    estimate=st.floats(1.0, 1.5),
    used=st.floats(0.0, 1.0),
)
@settings(max_examples=40, deadline=None)
def test_no_limit_that_headers_show_is_ever_met(
    limit: int, in_flight: int, seed: int, handshake_s: float, estimate: float, used: float
) -> None:
    world = World(
        limit, True, in_flight, seed, handshake_s=handshake_s, estimate=estimate, used_at_start=used * (limit - MAX_COMPLETION - 1200)
    )
    world.run(60)
    assert world.limited == []


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
@SEED
def test_400_records_at_36_000_tokens_a_minute(seed: int, refund: bool) -> None:
    world = World(**STEADY, refund=refund, seed=seed)
    world.run(900)
    assert world.served == 400
    assert len(world.limited) <= (0 if refund else 8), "until it is found out that the server keeps what is not used"
    assert world.utilisation(world.ended_at) >= 0.985


@pytest.mark.parametrize("configured", [None, 60])
@SEED
def test_a_run_bound_by_requests(seed: int, configured: int | None) -> None:
    config = ThrottleConfig(max_cost_usd=1e6, requests_per_minute=configured)
    shape: dict[str, Any] = {**STEADY, "tokens_per_minute": 250_000, "requests_per_minute": 60, "records": 200}
    world = World(**shape, refund=True, config=config, seed=seed)
    world.run(900)
    assert world.served == 200
    assert len(world.limited) <= (0 if configured else 32)
    assert world.served / (60 * (1 + world.ended_at / 60)) >= 0.97


@pytest.mark.parametrize("known", ["configured", "by header"])
@SEED
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
@SEED
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
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (4, 7))])
def test_with_a_second_client_that_takes_half(tokens_per_minute: int, per_s: float, in_flight: int, seed: int) -> None:
    world = World(tokens_per_minute, refund=True, neighbour_per_s=per_s, in_flight=in_flight, seed=seed)
    world.run(300)
    assert len(world.limited) <= 0.3 * world.served
    assert world.served_tokens >= 0.95 * (tokens_per_minute * 6 - per_s * 300)


@SEED
def test_large_requests_wait_in_line_like_all_others(seed: int) -> None:
    world = World(60_000, refund=True, large_share=0.05, prompt_tokens=300, seed=seed, in_flight=64)
    world.run(1200)
    assert world.limited == []
    large, small = (sorted(world.waited[kind]) for kind in (True, False))
    assert len(large) > 40
    assert large[int(0.99 * len(large))] <= 1.3 * small[int(0.99 * len(small))]


@pytest.mark.parametrize(("share", "status"), [(0.01, "overload"), (0.02, "capacity"), (0.05, "overload")])
def test_single_refusals_for_want_of_capacity_cost_next_to_nothing(share: float, status: Trouble) -> None:
    shape: dict[str, Any] = {"tokens_per_minute": 1e9, "refund": True, "in_flight": 32, "records": 2000, "latency_s": (0.2, 0.6)}
    fixed, dropping = World(**shape), World(**shape, trouble=status, trouble_share=share)
    for world in (fixed, dropping):
        world.run(900)
        assert world.served == 2000
    assert dropping.ended_at <= 1.1 * fixed.ended_at
