"""How long an answer takes: network, queue, reading the prompt, writing the completion; hidden capacity; the prompt cache.

Figures from captured live responses: 0.037 ms per prompt token; completions at the model's published speed; the queue
5 ms in the median and 40 ms at the 99th percentile when idle (log-normal), longer the more requests are being served.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import takewhile
from math import inf, log
from typing import Any, NamedTuple

from helix_ray.emulator.published import Model

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

PROMPT_S_PER_TOKEN = 0.037e-3
_QUEUE_MU = log(0.005)
_QUEUE_SIGMA = log(40 / 5) / 2.3263  # 2.3263: the normal distribution's 99 % quantile
_BUSY = 64  # requests in flight at which the queue takes twice as long as when idle


class Timing(NamedTuple):
    """Seconds, exactly as they are slept and, except the round trip, reported."""

    queue_s: float
    prompt_s: float
    completion_s: float
    round_trip_s: float

    @property
    def total_s(self) -> float:
        """Groq's ``total_time``, which leaves the queue out."""
        return self.prompt_s + self.completion_s

    @property
    def service_s(self) -> float:
        """From the arrival at the service until the answer leaves it."""
        return self.queue_s + self.prompt_s + self.completion_s

    def stretched(self, factor: float) -> Timing:
        """The timing of a service that took ``factor`` times as long, since it had other requests to serve."""
        queue, prompt, completion, round_trip = self
        return Timing(round(queue * factor, 9), round(prompt * factor, 9), round(completion * factor, 9), round_trip)


NO_TIME = Timing(0.0, 0.0, 0.0, 0.0)


class LatencyModel:
    def __init__(self, scale: float, round_trip_s: float, seed: int) -> None:
        self.scale = scale
        self.round_trip_s = round_trip_s  # in the middle; it varies by 60 % either way
        self._random = random.Random(seed)  # noqa: S311  not for secrets

    def draw(self, model: Model, prompt_tokens: int, completion_tokens: int, in_flight: int) -> Timing:
        """``prompt_tokens``: those to be read, without cached ones."""
        scale = self.scale
        if scale == 0:
            return NO_TIME
        queue = self._random.lognormvariate(_QUEUE_MU, _QUEUE_SIGMA) * (1 + in_flight / _BUSY)
        return Timing(
            round(scale * queue, 9),
            round(scale * prompt_tokens * PROMPT_S_PER_TOKEN, 9),
            round(scale * completion_tokens / model.completion_tokens_per_s, 9),
            round(scale * self.round_trip_s * (0.4 + 1.2 * self._random.random()), 9),
        )


@dataclass(slots=True, eq=False)
class Job:
    """One request being served. Times are monotonic seconds."""

    needed_s: float  # of service, alone
    entered_at: float
    done_at: float  # on the clock of `Capacity`
    finished_at: float | None = None
    left: bool = False  # before it was finished

    def __lt__(self, other: Job) -> bool:
        return self.done_at < other.done_at

    @property
    def stretch(self) -> float:
        """How many times as long as alone it took; 1 if nothing shows otherwise."""
        return 1.0 if self.finished_at is None or self.needed_s <= 0 else max(1.0, (self.finished_at - self.entered_at) / self.needed_s)


class Capacity:
    """Hidden capacity: a service runs ``most`` jobs at full speed, and n of more than that at ``most`` / n each, without saying so.
    The jobs share one clock that runs at the speed that each of them gets, so a change of speed costs nothing per job.
    """

    def __init__(self, most: int | None) -> None:
        self.most = most  # None: no bound
        self._clock = 0.0
        self._now = -inf
        self.serving = 0
        self._jobs: list[Job] = []  # a heap by done_at; jobs that left stay in it until their turn

    @property
    def speed(self) -> float:
        """Of each job, 0 to 1."""
        return 1.0 if self.most is None or self.serving <= self.most else self.most / self.serving

    def change(self, most: int | None, now: float) -> None:
        self._advance(now)
        self.most = most

    def enter(self, needed_s: float, now: float) -> Job:
        self._advance(now)
        job = Job(needed_s, now, self._clock + needed_s)
        heappush(self._jobs, job)
        self.serving += 1
        return job

    def leave(self, job: Job, now: float) -> None:
        """End a job whose client has gone, or has its answer. Idempotent; a finished job has left already."""
        self._advance(now)
        if job.finished_at is None and not job.left:
            job.left = True
            self.serving -= 1

    def left_s(self, job: Job, now: float) -> float:
        """Seconds until the job is finished, if no job comes or goes; 0: it is."""
        self._advance(now)
        return 0.0 if job.finished_at is not None else max(1e-9, (job.done_at - self._clock) / self.speed)

    def first(self, now: float) -> Job | None:
        """The job that will be finished next."""
        self._advance(now)
        while self._jobs and self._jobs[0].left:
            heappop(self._jobs)
        return self._jobs[0] if self._jobs else None

    def _advance(self, now: float) -> None:
        if now <= self._now:
            return
        while self._jobs:
            job = self._jobs[0]
            if not job.left:
                finishes = self._now + (job.done_at - self._clock) / self.speed
                if finishes > now:
                    break
                job.finished_at = self._now = finishes
                self._clock = job.done_at
                self.serving -= 1
            heappop(self._jobs)
        if self._jobs:
            self._clock += (now - self._now) * self.speed
        else:
            self._clock = 0.0  # no job is left that needs it, and small numbers are exact
        self._now = now


class Served(NamedTuple):
    gone: bool  # the client left first
    stretch: float  # how many times as long as planned the service took


class Serving:
    """Waits as long as answers take. ``monotonic`` is a clock in seconds, the event loop's or one as fast."""

    def __init__(self, most: int | None, monotonic: Callable[[], float]) -> None:
        self.capacity = Capacity(most)
        self._monotonic = monotonic
        self._waiting: dict[Job, asyncio.Timeout] = {}

    def change(self, most: int | None) -> None:
        """Change the bound, also for the requests in service. Those that came while there was no bound do not count."""
        self.capacity.change(most, self._monotonic())
        self._wake_first()

    async def serve(self, timing: Timing, receive: Receive) -> Served:
        if self.capacity.most is None:
            seconds = timing.service_s + timing.round_trip_s
            return Served(seconds > 0 and await left_within(seconds, receive), 1.0)
        job = self.capacity.enter(timing.service_s, self._monotonic())
        try:
            while (left := self.capacity.left_s(job, self._monotonic())) > 0:
                waiting = self._waiting[job] = asyncio.timeout(left)
                if await left_within(waiting, receive):
                    return Served(True, 1.0)
        finally:
            self._waiting.pop(job, None)
            self.capacity.leave(job, self._monotonic())
            self._wake_first()
        return Served(timing.round_trip_s > 0 and await left_within(timing.round_trip_s, receive), job.stretch)

    def _wake_first(self) -> None:
        """Reschedule the next job to finish: it may end sooner, now that others are gone. Later jobs wait for their turn."""
        now = self._monotonic()
        job = self.capacity.first(now)
        if job is not None and (waiting := self._waiting.get(job)) is not None and not waiting.expired():
            waiting.reschedule(asyncio.get_running_loop().time() + self.capacity.left_s(job, now))


async def left_within(waiting: float | asyncio.Timeout, receive: Receive) -> bool:
    """Wait so many seconds, or until that timeout; True as soon as the client hangs up."""
    try:
        async with waiting if isinstance(waiting, asyncio.Timeout) else asyncio.timeout(waiting):
            while (await receive())["type"] != "http.disconnect":
                pass  # after the body, the only message that a client can send is its leaving
    except TimeoutError:
        return False
    return True


BLOCK_TOKENS = 128
"""The shortest prefix that is kept, and the step in which longer ones grow."""
LIFETIME_S = 7_200.0
_CHARS = 4  # a token, in the text that prompts begin with
_MOST_PREFIXES = 50_000


class PromptCache:
    """What a prompt shares with a recent one from its beginning on is cheaper and read faster. Every request leaves its prompt
    behind; a share of ``hit_rate`` (0 to 1) finds what others left, since requests are spread over servers.
    """

    def __init__(self, hit_rate: float, seed: int) -> None:
        self.hit_rate = hit_rate
        self._random = random.Random(seed)  # noqa: S311  not for secrets
        self._seen: dict[tuple[str, int], float] = {}  # prefix: when, in monotonic seconds; the oldest first

    def cached_tokens(self, model: str, contents: list[str], prompt_tokens: int, now: float) -> int:
        """Of ``prompt_tokens``, those that need not be read again: a multiple of 128, and never the whole prompt."""
        if self.hit_rate == 0.0:
            return 0
        warm = self._random.random() < self.hit_rate
        prefixes = _prefixes(model, "\n".join(contents))
        known = list(takewhile(lambda prefix: now - self._seen.get(prefix, -inf) <= LIFETIME_S, prefixes))
        for prefix in prefixes:
            self._seen.pop(prefix, None)
            self._seen[prefix] = now
        while len(self._seen) > _MOST_PREFIXES:
            del self._seen[next(iter(self._seen))]
        return BLOCK_TOKENS * min(len(known), (prompt_tokens - 1) // BLOCK_TOKENS) if warm else 0


def _prefixes(model: str, text: str) -> list[tuple[str, int]]:
    """For each whole block of the prompt: its model, and the hash over all blocks up to this one."""
    size = BLOCK_TOKENS * _CHARS
    prefixes: list[tuple[str, int]] = []
    chain = 0
    for start in range(0, len(text) - size + 1, size):
        chain = hash((chain, text[start : start + size]))
        prefixes.append((model, chain))
    return prefixes
