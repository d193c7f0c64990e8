"""Servers of every law, drawn at random, and two clients of them in simulated time: the throttle, and one that knows the law."""

import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from math import ceil, inf
from typing import Literal

from helix_ray.config import ThrottleConfig
from helix_ray.providers.rate_limits import window_of
from helix_ray.providers.readings import LimitReading, RateLimitDetail
from helix_ray.records import TokenUsage
from helix_ray.throttle.governor import Governor
from helix_ray.throttle.messages import PermitRequest, Settlement

WINDOW_S = 60.0
DISCOVERY_S = 120.0
_TICK_S = 1e-6  # of the server's clock: what rounds to no wait at a window's end is still one
Law = Literal["bucket", "fixed", "sliding"]
Headers = Literal["groq", "openai", "late", "rounded", "wrong", "none"]


@dataclass(frozen=True)
class Drawn:
    """What a server is like. Limits are by requests or tokens a minute."""

    seed: int
    law: Law
    headers: Headers
    counted: Literal["requests", "tokens"]
    per_minute: float  # requests that fit, of the usual size
    names: bool  # a 429 says which limit it is
    waits: bool  # and how long it lasts
    refunds: bool
    drift: float  # the limit's factor from the middle of the run on
    neighbour: float  # share of the limit
    outage: Literal["", "named", "nameless", "busy"]
    outage_at_s: float
    outage_s: float
    slots: int  # beyond, 503
    drops: float  # share of 503s
    in_flight: int
    max_completion: int
    latency_s: float
    minutes: float

    @classmethod
    def at(cls, seed: int) -> "Drawn":
        rng = random.Random(seed)
        law: Law = rng.choice(("bucket", "fixed", "sliding"))
        headers: Headers = rng.choice(("groq", "openai", "late", "rounded", "wrong", "none"))
        per_minute = 10 ** rng.uniform(1.3, 2.3)
        minutes, latency_s = rng.uniform(5, 15), rng.uniform(0.3, 3.0)
        in_flight = rng.choice((8, 16, 32, 64))
        enough = ceil(2 * per_minute / 60 * latency_s) + 1
        return cls(
            seed,
            law,
            headers,
            rng.choice(("requests", "tokens")),
            per_minute,
            headers in ("groq", "openai") or rng.random() < 0.3,
            rng.random() < 0.7,
            rng.random() < 0.8,
            rng.choice((1.0, 1.0, 1.0, rng.uniform(0.5, 2.0))),
            rng.choice((0.0, 0.0, 0.0, rng.uniform(0.1, 0.5))),
            rng.choice((*7 * ("",), "named", "nameless", "busy")),
            rng.uniform(30, 60 * minutes / 2),
            rng.uniform(20, 150),
            rng.choice((10**6, 10**6, max(enough, in_flight // 2))),
            rng.choice((0.0, 0.0, 0.01, 0.03)),
            in_flight,
            rng.choice((128, 512, 2048)),
            latency_s,
            minutes,
        )

    @property
    def usual(self) -> float:
        """What a request is charged in the mean."""
        if self.counted == "requests":
            return 1.0
        return 815.0 + self.max_completion * (0.35 if self.refunds else 1.0)

    @property
    def records(self) -> int:
        room = self.per_minute * (1 - self.neighbour) * (1 + self.drift) / 2
        return max(20, round(room * self.minutes))


class Server:
    def __init__(self, drawn: Drawn) -> None:
        self.drawn = drawn
        self.random = random.Random(drawn.seed + 1)
        self.phase = self.random.uniform(0, WINDOW_S)
        self.limit = max(drawn.per_minute * drawn.usual, 1.2 * (830.0 + drawn.max_completion) if drawn.counted == "tokens" else 1.0)
        self.overstated = self.limit * self.random.uniform(1.5, 4.0)
        self.used, self.at = 0.0, 0.0
        self.log: deque[list[float]] = deque()
        self.serving = 0
        self.drifted = False
        self.neighbour_at = 0.0
        self.states: deque[tuple[float, float]] = deque(((0.0, 0.0),))

    def advance(self, t: float) -> None:
        drawn = self.drawn
        if not self.drifted and t > drawn.minutes * 30:
            self.drifted = True
            self.limit *= drawn.drift
        while drawn.neighbour and self.neighbour_at <= t:  # always served: the rest is what others have
            self._charge(self.limit * drawn.neighbour / 60, self.neighbour_at)
            self.neighbour_at += 1.0
        self._flow(t)

    def _flow(self, t: float) -> None:
        if self.drawn.law == "bucket":
            self.used = max(0.0, self.used - self.limit / WINDOW_S * (t - self.at))
        elif self.drawn.law == "fixed":
            if (t - self.phase) // WINDOW_S != (self.at - self.phase) // WINDOW_S:
                self.used = 0.0
        else:
            while self.log and self.log[0][0] <= t - WINDOW_S:
                self.used -= self.log.popleft()[1]
        self.at = max(self.at, t)

    def _charge(self, amount: float, t: float) -> list[float]:
        self._flow(t)
        entry = [t, amount]
        self.used += amount
        if self.drawn.law == "sliding":
            self.log.append(entry)
        return entry

    def out(self, t: float) -> bool:
        return bool(self.drawn.outage) and self.drawn.outage_at_s <= t < self.drawn.outage_at_s + self.drawn.outage_s

    def wait_s(self, amount: float, t: float) -> float:
        """0: admitted now."""
        self.advance(t)
        over = self.used + amount - self.limit
        if over <= 1e-6:
            return 0.0
        if self.drawn.law == "bucket":
            return over / self.limit * WINDOW_S
        if self.drawn.law == "fixed":
            return max(_TICK_S, WINDOW_S - (t - self.phase) % WINDOW_S)
        for at, taken in self.log:
            over -= taken
            if over <= 1e-6:
                return max(_TICK_S, at + WINDOW_S - t)
        return WINDOW_S

    def begin(self, amount: float, t: float) -> list[float]:
        self.serving += 1
        entry = self._charge(amount, t)
        self.states.append((t, self.used))
        return entry

    def end(self, entry: list[float], real: float, t: float) -> None:
        self.serving -= 1
        self.advance(t)
        if not self.drawn.refunds:
            return
        if self.drawn.law == "fixed" and (t - self.phase) // WINDOW_S != (entry[0] - self.phase) // WINDOW_S:
            return
        if self.drawn.law == "sliding" and entry[0] <= t - WINDOW_S:
            return
        self.used = max(0.0, self.used - (entry[1] - real))
        entry[1] = real

    def reading(self, t: float) -> LimitReading | None:
        """As the headers of an answer or a refusal have it."""
        drawn = self.drawn
        if drawn.headers == "none":
            return None
        used, limit = min(self.used, self.limit), self.limit
        if drawn.headers == "late":
            while len(self.states) > 1 and self.states[1][0] < t - 2.0:
                self.states.popleft()
            used = min(self.states[0][1], limit)
        if drawn.headers == "wrong":
            limit, used = self.overstated, 0.0
        reset_s = used / limit * WINDOW_S
        if drawn.law == "fixed":
            reset_s = WINDOW_S - (t - self.phase) % WINDOW_S
        elif drawn.law == "sliding":
            reset_s = self.log[0][0] + WINDOW_S - t if self.log else 0.0
        remaining = float(int(limit - used))
        if drawn.headers == "rounded":
            remaining, reset_s = float(round(remaining / limit * 50) / 50 * limit), float(ceil(reset_s))
        window_s = window_of(limit, remaining, reset_s)
        if drawn.counted == "tokens":
            return LimitReading(None, None, None, limit, remaining, reset_s, None, window_s)
        if drawn.headers == "groq":  # which shows no requests a minute
            return None
        return LimitReading(limit, remaining, reset_s, requests_window_s=window_s)


@dataclass
class Result:
    seconds: float = 0.0
    served: int = 0
    refusals: list[float] = field(default_factory=list)  # 429s, by time
    busy: int = 0  # 503s
    answers: list[float] = field(default_factory=list)

    @property
    def late_refusals(self) -> float:
        """429s per answer after discovery."""
        answers = sum(at > DISCOVERY_S for at in self.answers)
        return sum(at > DISCOVERY_S for at in self.refusals) / max(1, answers)


class Requests:
    """The same requests for both clients."""

    def __init__(self, drawn: Drawn) -> None:
        self._random = random.Random(drawn.seed + 2)
        self._drawn = drawn

    def one(self) -> tuple[int, int, float]:
        """Prompt and completion tokens, and seconds to serve it."""
        prompt = round(self._random.gauss(815, 25))
        completion = max(1, min(self._drawn.max_completion, round(self._drawn.max_completion * self._random.gauss(0.35, 0.1))))
        return prompt, completion, self._drawn.latency_s * self._random.lognormvariate(0, 0.4)


def charges(drawn: Drawn, prompt: int, completion: int) -> tuple[float, float]:
    """On admission, and in the end."""
    if drawn.counted == "requests":
        return 1.0, 1.0
    return float(prompt + drawn.max_completion), float(prompt + completion)


def ideal_seconds(drawn: Drawn) -> float:
    """Every request as soon as the law lets it in."""
    server, requests, t, left, last = Server(drawn), Requests(drawn), 0.0, drawn.records, 0.0
    ends: list[tuple[float, int, list[float], float]] = []
    order = itertools.count()
    prompt, completion, seconds = requests.one()
    while left:
        while ends and ends[0][0] <= t:
            at, _, entry, real = heapq.heappop(ends)
            server.end(entry, real, at)
        charged, real = charges(drawn, prompt, completion)
        free = min(drawn.in_flight, drawn.slots) > server.serving
        wait_s = server.wait_s(charged, t)
        if free and wait_s == 0.0 and not server.out(t):
            heapq.heappush(ends, (t + seconds, next(order), server.begin(charged, t), real))
            last = max(last, t + seconds)
            left -= 1
            prompt, completion, seconds = requests.one()
            continue
        t = min(ends[0][0], t + max(0.02, min(wait_s, 0.25))) if ends else t + 0.02 + min(wait_s, 0.25)
    return last + 0.05


class Throttled:
    """The throttle, not configured, with as many callers as requests may be in flight."""

    def __init__(self, drawn: Drawn, deadline_s: float) -> None:
        self.drawn, self.deadline_s = drawn, deadline_s
        self.server, self.requests = Server(drawn), Requests(drawn)
        self.random = random.Random(drawn.seed + 3)
        self.governor = Governor(ThrottleConfig(max_cost_usd=1e6), 60.0, "s", most_in_flight=drawn.in_flight)
        self.governor.restore(Decimal(0))
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.order = itertools.count()
        self.wants: dict[str, tuple[int, int, float, int]] = {}
        self.left = drawn.records
        self.wake_at = inf
        self.result = Result()
        self.kinds: Counter[str] = Counter()

    def at(self, t: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self.events, (t, next(self.order), event))

    def run(self) -> Result:
        for _ in range(self.drawn.in_flight):
            self.ask(0.0)
        self.pump(0.0)
        while self.events and self.events[0][0] <= self.deadline_s:
            t, _, event = heapq.heappop(self.events)
            event(t)
        return self.result

    def ask(self, t: float, again: tuple[int, int, float, int] | None = None) -> None:
        if again is None:
            if self.left == 0:
                return
            self.left -= 1
            again = (*self.requests.one(), 0)
        want_id = str(next(self.order))
        self.wants[want_id] = again
        request = PermitRequest(want_id, round(again[0] * 1.08), self.drawn.max_completion, Decimal("0.001"), retry=again[3] > 0)
        self.governor.ask("c", [request], t)
        if again[3]:
            self.pump(t)

    def pump(self, t: float) -> None:
        for grant in self.governor.collect(self.governor.advance(t), t).grants:
            sent = t + self.random.uniform(0.001, 0.005)
            self.at(sent + self.random.uniform(0.01, 0.08), partial(self.arrive, grant.want_id, grant.permit_id, sent))
        ready_s = self.governor.next_ready_in_s(t)
        if ready_s is not None:
            self.wake_at = t + max(ready_s, 0.0005)
            self.at(self.wake_at, lambda now: self.pump(now) if now >= self.wake_at else None)

    def arrive(self, want_id: str, permit_id: str, sent: float, t: float) -> None:
        drawn, server = self.drawn, self.server
        prompt, completion, seconds, _ = self.wants[want_id]
        charged, real = charges(drawn, prompt, completion)
        back = t + self.random.uniform(0.01, 0.08)
        wait_s = server.wait_s(charged, t)
        out = drawn.outage if server.out(t) else ""
        if out == "busy" or (not out and (server.serving >= drawn.slots or self.random.random() < drawn.drops)):
            self.result.busy += 1
            self.at(back, partial(self.ended, want_id, Settlement(permit_id, "rejected", trouble="overload")))
            return
        if out or wait_s > 0.0:
            self.result.refusals.append(t)
            limited = RateLimitDetail(retry_after_s=float(ceil(wait_s)) if drawn.waits else None)
            if out:
                limited = RateLimitDetail("TPD" if out == "named" else None, 1e6, 1e6, 1, 432.0 if drawn.waits else None)
            elif drawn.names:
                kind: Literal["RPM", "TPM"] = "RPM" if drawn.counted == "requests" else "TPM"
                asked_s = wait_s if drawn.waits else None
                limited = RateLimitDetail(kind, server.limit, round(server.used), round(charged), asked_s)
            settlement = Settlement(permit_id, "rejected", reading=None if out else server.reading(t), limited=limited)
            self.at(back, partial(self.ended, want_id, settlement))
            return
        entry = server.begin(charged, t)
        reading, ends = server.reading(t), t + seconds
        self.at(ends, lambda now: server.end(entry, real, now))
        usage, age_s = TokenUsage(prompt, 0, completion), back - t
        settled = Settlement(permit_id, "answered", usage, Decimal("0.0001"), reading, sent_at_age_s=ends + age_s - sent)
        self.at(ends + age_s, partial(self.ended, want_id, settled))

    def ended(self, want_id: str, settlement: Settlement, t: float) -> None:
        prompt, completion, seconds, failures = self.wants.pop(want_id)
        self.governor.settle(settlement, t)
        if settlement.outcome == "answered":
            self.result.served += 1
            self.result.seconds = t
            self.result.answers.append(t)
            self.ask(t)
        elif settlement.trouble is not None:
            again = (prompt, completion, seconds, failures + 1)
            rest_s = self.random.uniform(0, min(30.0, 0.5 * 2**failures))
            self.at(t + rest_s, partial(self.ask, again=again))
        else:
            self.ask(t, (prompt, completion, seconds, 0))
        self.pump(t)


@dataclass(frozen=True)
class Score:
    drawn: Drawn
    ideal_s: float
    result: Result

    @property
    def times_ideal(self) -> float:
        return self.result.seconds / self.ideal_s if self.lost == 0 else inf

    @property
    def lost(self) -> int:
        return self.drawn.records - self.result.served


def score(seed: int) -> Score:
    drawn = Drawn.at(seed)
    ideal_s = ideal_seconds(drawn)
    return Score(drawn, ideal_s, Throttled(drawn, 20 * ideal_s + 600).run())
