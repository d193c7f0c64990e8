"""What becomes of each read of a request that brought no usable answer: tried again, asked again alone, or a dead letter."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from helix_ray.actors.analyzer_counters import AnalyzerCounters
from helix_ray.actors.held_reads import Job
from helix_ray.actors.read_results import Answered, ResultMaker
from helix_ray.actors.request_log import Sent
from helix_ray.analysis.completion import AnswerError
from helix_ray.clock import Clock
from helix_ray.config import RetryConfig
from helix_ray.records import ReadResult
from helix_ray.throttle.messages import Refusal
from helix_ray.throttle.retry import backoff_s

MAX_REPAIRS = 1
_NOT_REPAIRED = {"refused"}  # a model that refuses has answered


class Next(Enum):
    """What to do with a read after a request."""

    STORE = auto()  # `result` is final
    AGAIN = auto()  # at once: it lost nothing (a 429, or its permit was withdrawn), or its answer is to be repaired
    LATER = auto()  # after `delay_s`, having lost an attempt
    DROP = auto()  # its lease was lost before anything was sent
    REFUSED = auto()  # by the throttle (`refusal`) or for good by the provider


class Step(NamedTuple):
    next: Next
    result: ReadResult | None = None
    delay_s: float = 0.0
    refusal: Refusal | None = None


Steps = list[tuple[Job, Step]]
"""One step for each read of a request."""


@dataclass(frozen=True, slots=True)
class Setbacks:
    """Two budgets a read: ``retry.max_attempts`` for failures of the API, one repair for an answer that cannot be used."""

    results: ResultMaker
    retry: RetryConfig
    counters: AnalyzerCounters
    clock: Clock
    rng: random.Random

    def failed(self, sent: Sent, text: str, at_least_s: float = 0.0) -> Steps:
        """The API failed, which counts against each read of the request. Those with attempts left rest and come back together."""
        jobs = sent.request.jobs
        self.counters.failures += 1
        for job in jobs:
            job.failures += 1
        delay_s = backoff_s(max(job.failures for job in jobs), self.retry.base_delay_s, self.retry.max_delay_s, self.rng.random)
        later = Step(Next.LATER, delay_s=max(delay_s, at_least_s))
        return [(job, later if job.failures < self.retry.max_attempts else self._given_up(sent, job, text)) for job in jobs]

    def rejected(self, sent: Sent, text: str) -> Steps:
        """The request will never be served. What one of its reads, or their number, is to blame for, the others do not share."""
        jobs = sent.request.jobs
        if len(jobs) > 1:
            for job in jobs:
                job.alone = True
            return [(job, Step(Next.AGAIN)) for job in jobs]
        self.counters.failures += 1
        jobs[0].failures += 1
        return [(jobs[0], self._dead_letter(sent, jobs[0], text))]

    def unusable(self, job: Job, error: AnswerError, answered: Answered) -> Step:
        """An answer that was paid for brought nothing for this read: it is asked again, alone, or that was its last chance."""
        if error.kind in _NOT_REPAIRED or job.repairs >= MAX_REPAIRS:
            result = self.results.dead_letter(job, error.kind, error.message, self.clock.now(), call_id=answered.call_id, answered=answered)
            return Step(Next.STORE, result)
        job.repairs += 1
        job.alone = True
        job.cut_off = error.kind == "truncated"
        self.counters.repairs += 1
        return Step(Next.AGAIN)

    def _given_up(self, sent: Sent, job: Job, text: str) -> Step:
        return self._dead_letter(sent, job, f"{text} (the last of {job.failures} attempts)")

    def _dead_letter(self, sent: Sent, job: Job, text: str) -> Step:
        return Step(Next.STORE, self.results.dead_letter(job, "api_failed", text, self.clock.now(), call_id=sent.call_id))
