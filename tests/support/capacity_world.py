"""A server that serves ``capacity`` requests at full speed and slows down beyond, in simulated time, with its callers."""

import heapq
import itertools
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from helix_ray.throttle.tier.concurrency import Concurrency


@dataclass
class CapacityWorld:
    """``workers`` callers who always have a request to send (or ``rate`` a second of them), bounded by the controller.

    shared: above ``capacity`` all slow down in proportion. queue: ``capacity`` are served, the others wait their turn.
    """

    controller: Concurrency
    capacity: float = float("inf")
    kind: Literal["shared", "queue"] = "shared"
    noise: float = 0.4  # sigma of the log-normal factor
    lengths: float = 0.8  # sigma of the log-normal completion lengths
    usual_tokens: float = 300.0
    tokens_per_s: float = 600.0
    round_trip_s: float = 0.05
    workers: int = 64
    rate: float | None = None
    seed: int = 1
    soft: float = 0.0  # share by which latency rises with each 64 in flight, capacity or not
    refuses_above: int | None = None  # 503
    done: list[tuple[float, float]] = field(default_factory=list)  # when, latency
    limits: list[tuple[float, int]] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    worked: float = 0.0  # seconds of unloaded work done

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.order = itertools.count()
        self.now = 0.0
        self.virtual = 0.0
        self.serving: list[tuple[float, int, float, int]] = []  # virtual end, order, sent at, tokens
        self.queue: deque[tuple[float, float, int]] = deque()  # work, sent at, tokens
        self.on_way: list[tuple[float, int, float, int]] = []  # back: at, order, sent at, tokens
        self.slowness = 1.0
        self.in_flight = 0
        self.waiting = 0.0  # of a rate of callers

    def work(self) -> tuple[float, int]:
        tokens = max(1, round(self.usual_tokens * self.random.lognormvariate(-(self.lengths**2) / 2, self.lengths)))
        plain = 0.02 + tokens / self.tokens_per_s
        return plain * self.random.lognormvariate(0, self.noise), tokens

    def unloaded(self, count: int = 20_000) -> tuple[float, float]:
        """Mean work and 95th percentile of the latency."""
        state = self.random.getstate()
        works = sorted(self.work()[0] for _ in range(count))
        self.random.setstate(state)
        return sum(works) / count, works[int(0.95 * count)] + self.round_trip_s

    def speed(self) -> float:
        busy = len(self.serving)
        slow = self.slowness * (1.0 + self.soft * self.in_flight / 64)
        if self.kind == "shared" and busy > self.capacity:
            return self.capacity / busy / slow
        return 1.0 / slow

    def send(self) -> None:
        room = self.workers - self.in_flight if self.rate is None else min(int(self.waiting), self.workers - self.in_flight)
        while room > 0 and self.in_flight < self.controller.limit:
            room -= 1
            self.waiting -= 1
            if self.refuses_above is not None and self.in_flight >= self.refuses_above:
                self.refused.append(self.now)
                self.controller.overloaded(self.now)
                break
            self.in_flight += 1
            work, tokens = self.work()
            if self.kind == "queue" and len(self.serving) >= self.capacity:
                self.queue.append((work, self.now, tokens))
            else:
                heapq.heappush(self.serving, (self.virtual + work, next(self.order), self.now, tokens))

    def run(self, until: float) -> None:
        while self.now < until:
            self.send()
            speed = self.speed()
            step = min(until - self.now, 0.05)
            if self.serving:
                step = min(step, max(0.0, (self.serving[0][0] - self.virtual) / speed))
            if self.on_way:
                step = min(step, self.on_way[0][0] - self.now)
            self.now += step
            self.virtual += step * speed
            self.worked += step * speed * len(self.serving)
            if self.rate is not None:
                self.waiting = min(self.waiting + step * self.rate, 500.0)
            while self.serving and self.serving[0][0] <= self.virtual + 1e-9:
                _, order, sent, tokens = heapq.heappop(self.serving)
                heapq.heappush(self.on_way, (self.now + self.round_trip_s, order, sent, tokens))
                while self.queue and len(self.serving) < self.capacity:
                    work, at, more = self.queue.popleft()
                    heapq.heappush(self.serving, (self.virtual + work, next(self.order), at, more))
            while self.on_way and self.on_way[0][0] <= self.now + 1e-9:
                _, _, sent, tokens = heapq.heappop(self.on_way)
                latency = self.now - sent
                self.done.append((self.now, latency))
                self.controller.answered(latency, tokens, self.in_flight, self.now)
                self.in_flight -= 1
            if not self.limits or self.limits[-1][1] != self.controller.limit:
                self.limits.append((self.now, self.controller.limit))

    def p95(self, start: float, end: float) -> float:
        latencies = sorted(latency for at, latency in self.done if start <= at < end)
        return latencies[int(0.95 * len(latencies))]

    def scores(self, end: float) -> tuple[float, float]:
        """From now to ``end``: the share of what the server could have worked, and p95 latency over the unloaded one."""
        start, worked = self.now, self.worked
        self.run(end)
        mean, p95 = self.unloaded()
        most = min(self.capacity, self.workers * mean / (mean + self.round_trip_s))
        return (self.worked - worked) / (end - start) / most, self.p95(start, end) / p95

    def least_limit(self, start: float) -> int:
        """Since then."""
        return min([limit for at, limit in self.limits if at >= start] + [self.controller.limit])
