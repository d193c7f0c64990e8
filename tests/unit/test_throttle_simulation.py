"""The throttle against a model of the provider, in simulated time: no 429 for a limit that headers show, and no waste.

The model server is the published bucket law and nothing more: ``used`` sinks by limit / 60 a second, a request is admitted
iff used + prompt + max_completion_tokens fits, headers show the state right after admission, and at the end of a request the
account is settled to the real usage (or not, without refunds).
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helix_ray.config import ThrottleConfig
from helix_ray.records import TokenUsage
from helix_ray.throttle.governor import Governor
from helix_ray.throttle.messages import LimitReading, RateLimitDetail, Settlement, ThrottleStats, Want

MAX_COMPLETION = 512


@dataclass
class ModelBucket:
    limit: float
    used: float = 0.0
    at: float = 0.0

    def now(self, t: float) -> float:
        self.used = max(0.0, self.used - self.limit / 60 * (t - self.at))
        self.at = t
        return self.used


@dataclass
class World:
    """``in_flight`` workers that each always have a request to send."""

    tokens_per_minute: float
    refund: bool
    in_flight: int = 64
    seed: int = 1
    requests_per_minute: float = 1e9
    estimate: float = 1.08  # of the real prompt
    handshake_s: float = 0.0  # every worker's first request takes up to this much longer to arrive
    used_at_start: float = 0.0
    neighbour_per_s: float = 0.0  # tokens a second that another client takes, in one bite a second
    config: ThrottleConfig = field(default_factory=lambda: ThrottleConfig(max_cost_usd=1e6))

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.tokens = ModelBucket(self.tokens_per_minute, self.used_at_start)
        self.requests = ModelBucket(self.requests_per_minute)
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.order = itertools.count()
        self.limited: list[tuple[float, str]] = []
        self.served_tokens = 0.0
        self.served = 0
        self.neighbour_refused = 0
        self.governor = Governor(self.config, 60.0, "sim")
        self.governor.restore(Decimal(0))
        self.wants: dict[str, tuple[int, int, int, bool]] = {}
        self.wake_at = float("inf")

    def at(self, t: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self.events, (t, next(self.order), event))

    def run(self, seconds: float) -> ThrottleStats:
        for worker in range(self.in_flight):
            self.ask(worker, True, 0.0)
        if self.neighbour_per_s:
            self.at(0.5, self.neighbour)
        self.pump(0.0)
        while self.events and self.events[0][0] <= seconds:
            t, _, event = heapq.heappop(self.events)
            event(t)
        return self.governor.stats(seconds)

    def neighbour(self, t: float) -> None:
        if self.tokens.now(t) + self.neighbour_per_s <= self.tokens.limit:
            self.tokens.used += self.neighbour_per_s
        else:
            self.neighbour_refused += 1
        self.at(t + 1.0, self.neighbour)

    def ask(self, worker: int, first: bool, t: float) -> None:
        want_id = f"{worker}:{next(self.order)}"
        prompt = round(self.random.gauss(815, 25))
        self.wants[want_id] = (worker, prompt, self.random.randint(100, 250), first)
        want = Want(want_id, round(prompt * self.estimate), MAX_COMPLETION, Decimal("0.0005"))
        self.governor.ask(f"w{worker}", [want], t)

    def pump(self, t: float) -> None:
        decided = self.governor.advance(t)
        for grant in self.governor.collect(decided, t).grants:
            first = self.wants[grant.want_id][3]
            sent = t + self.random.uniform(0.0005, 0.005)
            arrives = sent + self.random.uniform(0.01, 0.08) + (self.random.uniform(0, self.handshake_s) if first else 0.0)
            self.at(arrives, lambda now, g=grant, s=sent: self.arrive(g.want_id, g.permit_id, s, now))
        ready = self.governor.next_ready_in_s(t)
        if ready is not None:
            self.wake_at = t + ready
            self.at(self.wake_at, lambda now: self.pump(now) if now >= self.wake_at else None)

    def arrive(self, want_id: str, permit_id: str, sent: float, t: float) -> None:
        _, prompt, completion, _ = self.wants[want_id]
        down = self.random.uniform(0.01, 0.08)
        requested = prompt + MAX_COMPLETION
        for bucket, amount, kind in ((self.requests, 1, "RPM"), (self.tokens, requested, "TPM")):
            over = bucket.now(t) + amount - bucket.limit
            if over > 1e-4:
                self.limited.append((t, kind))
                detail = RateLimitDetail(kind, bucket.limit, round(bucket.used), amount, max(1.0, over / bucket.limit * 60))
                self.at(t + down, lambda now, d=detail: self.settle(want_id, Settlement(permit_id, "rejected", limited=d), now))
                return
        self.requests.used += 1
        self.tokens.used += requested
        reading = LimitReading(tokens_limit=self.tokens.limit, tokens_remaining=int(self.tokens.limit - self.tokens.used))
        ends = t + self.random.uniform(0.2, 2.0)
        self.at(ends, lambda now: self.complete(requested, prompt + completion, now))
        usage = TokenUsage(prompt, 0, completion)
        self.at(
            ends + down,
            lambda now: self.settle(
                want_id,
                Settlement(permit_id, "answered", usage, Decimal("0.0001"), reading, sent_at_age_s=now - sent),
                now,
            ),
        )

    def complete(self, requested: float, real: float, t: float) -> None:
        self.tokens.now(t)
        self.served += 1
        self.served_tokens += real if self.refund else requested
        if self.refund:
            self.tokens.used = max(0.0, self.tokens.used - (requested - real))

    def settle(self, want_id: str, settlement: Settlement, t: float) -> None:
        self.governor.settle(settlement, t)
        self.ask(self.wants.pop(want_id)[0], False, t)
        self.pump(t)

    def utilisation(self, seconds: float) -> float:
        return self.served_tokens / (self.tokens.limit * (1 + seconds / 60) - self.used_at_start)


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


def test_a_neighbour_on_the_same_key_costs_few_refusals_and_no_stall() -> None:
    world = World(250_000, refund=True, neighbour_per_s=2_000, seed=4)
    world.run(300)
    assert len(world.limited) <= 0.15 * world.served
    assert world.served_tokens >= 0.6 * 250_000 * 6
