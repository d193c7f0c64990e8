"""A model of the provider and of those who ask it, in simulated time.

The model server is the published bucket law and nothing more: ``used`` sinks by limit / 60 a second, a request is admitted
iff used + prompt + max_completion_tokens fits, headers show the state right after admission, and at the end of a request the
account is settled to the real usage (or not, without refunds).
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from helix_ray.config import ThrottleConfig
from helix_ray.providers.rate_limits import DAY_S
from helix_ray.providers.readings import LimitKind, LimitReading, RateLimitDetail, Trouble
from helix_ray.records import TokenUsage
from helix_ray.throttle.governor import Governor
from helix_ray.throttle.messages import PermitRequest, Settlement, ThrottleStats

MAX_COMPLETION = 512


@dataclass
class ModelBucket:
    limit: float
    used: float = 0.0
    at: float = 0.0
    window_s: float = 60.0

    def now(self, t: float) -> float:
        self.used = max(0.0, self.used - self.limit / self.window_s * (t - self.at))
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
    requests_per_day: float | None = None  # shown by headers, as on Groq
    tokens_per_day: float = 1e12
    estimate: float = 1.08  # of the real prompt
    handshake_s: float = 0.0  # every worker's first request takes up to this much longer to arrive
    used_at_start: float = 0.0
    records: int | None = None  # None: without end
    prompt_tokens: int = 815
    large_share: float = 0.0  # of requests that are 8 times larger
    latency_s: tuple[float, float] = (0.2, 2.0)
    trouble: Trouble | None = None  # instead of an answer, to a share of the requests
    trouble_share: float = 0.0
    neighbour_per_s: float = 0.0  # tokens a second that another client takes, in one bite a second
    config: ThrottleConfig = field(default_factory=lambda: ThrottleConfig(max_cost_usd=1e6))

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.tokens = ModelBucket(self.tokens_per_minute, self.used_at_start)
        self.requests = ModelBucket(self.requests_per_minute)
        self.requests_today = ModelBucket(self.requests_per_day or 1e12, window_s=DAY_S)
        self.tokens_today = ModelBucket(self.tokens_per_day, window_s=DAY_S)
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.order = itertools.count()
        self.limited: list[tuple[float, str]] = []
        self.ended_at = 0.0  # when the last answer so far was there
        self.served_tokens = 0.0
        self.served = 0
        self.neighbour_refused = 0
        self.governor = Governor(self.config, 60.0, "sim")
        self.governor.restore(Decimal(0))
        self.wants: dict[str, tuple[int, int, int, bool]] = {}
        self.wake_at = float("inf")
        self.asked = 0
        self.asked_at: dict[str, tuple[float, bool]] = {}
        self.waited: dict[bool, list[float]] = {True: [], False: []}  # seconds, by whether the request was large

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
        if self.asked == self.records:
            return
        self.asked += 1
        want_id = f"{worker}:{next(self.order)}"
        large = self.random.random() < self.large_share
        prompt = round(self.random.gauss(self.prompt_tokens, 0.03 * self.prompt_tokens)) * (8 if large else 1)
        self.asked_at[want_id] = (t, large)
        self.wants[want_id] = (worker, prompt, self.random.randint(100, 250), first)
        want = PermitRequest(want_id, round(prompt * self.estimate), MAX_COMPLETION, Decimal("0.0005"))
        self.governor.ask(f"w{worker}", [want], t)

    def pump(self, t: float) -> None:
        decided = self.governor.advance(t)
        for grant in self.governor.collect(decided, t).grants:
            first = self.wants[grant.want_id][3]
            asked_at, large = self.asked_at.pop(grant.want_id)
            self.waited[large].append(t - asked_at)
            sent = t + self.random.uniform(0.0005, 0.005)
            arrives = sent + self.random.uniform(0.01, 0.08) + (self.random.uniform(0, self.handshake_s) if first else 0.0)
            self.at(arrives, partial(self.arrive, grant.want_id, grant.permit_id, sent))
        ready = self.governor.next_ready_in_s(t)
        if ready is not None:
            self.wake_at = t + ready
            self.at(self.wake_at, lambda now: self.pump(now) if now >= self.wake_at else None)

    def arrive(self, want_id: str, permit_id: str, sent: float, t: float) -> None:
        _, prompt, completion, _ = self.wants[want_id]
        down = self.random.uniform(0.01, 0.08)
        requested = prompt + MAX_COMPLETION
        if self.random.random() < self.trouble_share:
            self.at(t + down, partial(self.settle, want_id, Settlement(permit_id, "rejected", trouble=self.trouble)))
            return
        checked: list[tuple[ModelBucket, int, LimitKind]] = [
            (self.requests, 1, "RPM"),
            (self.requests_today, 1, "RPD"),
            (self.tokens, requested, "TPM"),
            (self.tokens_today, requested, "TPD"),
        ]
        for bucket, amount, kind in checked:
            over = bucket.now(t) + amount - bucket.limit
            if over > 1e-4:
                self.limited.append((t, kind))
                wait_s = max(1.0, over / bucket.limit * bucket.window_s)
                detail = RateLimitDetail(kind, bucket.limit, round(bucket.used), amount, wait_s)
                self.at(t + down, partial(self.settle, want_id, Settlement(permit_id, "rejected", limited=detail)))
                return
        for bucket, amount, _ in checked:
            bucket.used += amount
        reading = LimitReading(tokens_limit=self.tokens.limit, tokens_remaining=int(self.tokens.limit - self.tokens.used))
        if self.requests_per_day is not None:
            left = int(self.requests_today.limit - self.requests_today.used)
            reading = reading._replace(requests_limit=self.requests_today.limit, requests_remaining=left, requests_window_s=DAY_S)
        ends = t + self.random.uniform(*self.latency_s)
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
        self.served += 1
        self.ended_at = t
        self.served_tokens += real if self.refund else requested
        if self.refund:
            for bucket in (self.tokens, self.tokens_today):
                bucket.now(t)
                bucket.used = max(0.0, bucket.used - (requested - real))

    def settle(self, want_id: str, settlement: Settlement, t: float) -> None:
        self.governor.settle(settlement, t)
        self.asked -= settlement.outcome == "rejected"
        self.ask(self.wants.pop(want_id)[0], False, t)
        self.pump(t)

    def utilisation(self, seconds: float) -> float:
        return self.served_tokens / (self.tokens.limit * (1 + seconds / 60) - self.used_at_start)
