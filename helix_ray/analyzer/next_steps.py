"""What becomes of each read of a request that brought no usable answer: tried again, asked again alone, or a dead letter."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal, NamedTuple

from helix_ray.analyzer.attempts import Attempts
from helix_ray.analyzer.counters import AnalyzerCounters
from helix_ray.analyzer.leased_reads import Job
from helix_ray.analyzer.read_request import ReadRequest
from helix_ray.analyzer.read_results import Answered, ResultMaker
from helix_ray.analyzer.request_log import Sent
from helix_ray.clock import Clock
from helix_ray.config import RetryConfig
from helix_ray.providers.readings import AnswerError, Verdict, VerdictKind
from helix_ray.records import ReadResult
from helix_ray.throttle.messages import Refusal
from helix_ray.waiting.backoff import backoff_s

MAX_REPAIRS = 1
LEAST_COMPLETION_TOKENS = 64
"""Below this no answer fits, whatever the model: a request that is too large with so little room is not shrunk further."""

_NOT_REPAIRED = {"refused"}  # a model that refuses has answered


class Next(Enum):
    """What to do with a read after a request."""

    STORE = auto()  # `result` is final
    AGAIN = auto()  # at once: it lost nothing (a 429, a withdrawn permit, a smaller request), or its answer is to be repaired
    LATER = auto()  # after `delay_s`, having failed
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
    on_capacity_exceeded: Literal["wait", "on_demand"]
    attempts: Attempts
    counters: AnalyzerCounters
    clock: Clock
    rng: random.Random

    def after(self, sent: Sent, verdict: Verdict, text: str) -> Steps:
        """For every verdict but an answer. ``text``: the failure, as a dead letter tells it."""
        jobs = sent.request.jobs
        match verdict.kind:
            case VerdictKind.WAIT:
                return everyone(jobs, Step(Next.AGAIN))
            case VerdictKind.STOP:
                return everyone(jobs, Step(Next.REFUSED, refusal=Refusal("refused", text[:500])))
            case VerdictKind.SHRINK:
                return self.smaller(sent.request) or [self._never(sent, jobs[0], "request_too_large", text)]
            case VerdictKind.OTHER_TIER:
                return self._no_capacity(sent, verdict)
            case VerdictKind.REPAIR:
                return self._not_generated(sent, text)
            case VerdictKind.RETRY_ONCE if not any(job.doubted for job in jobs):
                for job in jobs:
                    job.doubted = True
                return self._failed(sent, verdict, text)
            case VerdictKind.RETRY:
                return self._failed(sent, verdict, text)
            case _:
                return self._rejected(sent, text)

    def smaller(self, request: ReadRequest) -> Steps:
        """A request that is too large comes again as two of half its reads; about one read, with half the room for its answer.
        Empty: there is no smaller one.
        """
        jobs = request.jobs
        if len(jobs) > 1:
            for job in jobs:
                job.companions = (len(jobs) + 1) // 2 - 1
            return everyone(jobs, Step(Next.AGAIN))
        tokens = max(LEAST_COMPLETION_TOKENS, request.max_completion_tokens // 2)
        if tokens >= request.max_completion_tokens:
            return []
        jobs[0].most_tokens = tokens
        return [(jobs[0], Step(Next.AGAIN))]

    def unusable(self, job: Job, error: AnswerError, answered: Answered) -> Step:
        """An answer that was paid for brought nothing for this read: it is asked again, alone, or that was its last chance."""
        if error.kind not in _NOT_REPAIRED and self._repair(job, more_room=error.kind == "truncated"):
            return Step(Next.AGAIN)
        result = self.results.dead_letter(job, error.kind, error.message, self.clock.now(), call_id=answered.call_id, answered=answered)
        return Step(Next.STORE, result)

    def _not_generated(self, sent: Sent, text: str) -> Steps:
        """The provider found the model's answer to break the schema and kept it: most often its room was too small."""
        return [
            (job, Step(Next.AGAIN)) if self._repair(job, more_room=True) else self._dead_letter(sent, job, "schema_error", text)
            for job in sent.request.jobs
        ]

    def _repair(self, job: Job, more_room: bool) -> bool:
        if job.repairs >= MAX_REPAIRS:
            return False
        job.repairs += 1
        job.companions = 0
        job.cut_off = more_room
        self.counters.repairs += 1
        return True

    def _failed(self, sent: Sent, verdict: Verdict, text: str) -> Steps:
        """Those that have attempts left rest and come back together."""
        jobs = sent.request.jobs
        self.counters.failures += 1
        last = [self.attempts.failed(job, verdict.spends) for job in jobs]
        for job in jobs:
            job.retrying = True
        later = self._rest(jobs, verdict)
        return [
            self._dead_letter(sent, job, "api_failed", f"{text} (the last of {job.failures + job.unproven} attempts)")
            if given_up
            else (job, later)
            for job, given_up in zip(jobs, last, strict=True)
        ]

    def _no_capacity(self, sent: Sent, verdict: Verdict) -> Steps:
        """No failure: the flex tier promises no room. It is asked again later, or the other tier at once."""
        jobs = sent.request.jobs
        if self.on_capacity_exceeded == "on_demand" and sent.service_tier == "flex":
            for job in jobs:
                job.on_demand = True
            return everyone(jobs, Step(Next.AGAIN))
        for job in jobs:
            job.setbacks += 1
        return everyone(jobs, self._rest(jobs, verdict))

    def _rejected(self, sent: Sent, text: str) -> Steps:
        """The request will never be served. What one of its reads, or their number, is to blame for, the others do not share."""
        jobs = sent.request.jobs
        if len(jobs) > 1:
            for job in jobs:
                job.companions = 0
            return everyone(jobs, Step(Next.AGAIN))
        return [self._never(sent, jobs[0], "api_failed", text)]

    def _rest(self, jobs: list[Job], verdict: Verdict) -> Step:
        most = max(job.setbacks for job in jobs)
        delay_s = backoff_s(most, self.retry.base_delay_s, self.retry.max_delay_s, self.rng.random)
        return Step(Next.LATER, delay_s=max(delay_s, verdict.retry_after_s or 0.0))

    def _never(self, sent: Sent, job: Job, error_kind: str, text: str) -> tuple[Job, Step]:
        self.counters.failures += 1
        job.failures += 1
        return self._dead_letter(sent, job, error_kind, text)

    def _dead_letter(self, sent: Sent, job: Job, error_kind: str, text: str) -> tuple[Job, Step]:
        return job, Step(Next.STORE, self.results.dead_letter(job, error_kind, text, self.clock.now(), call_id=sent.call_id))


def everyone(jobs: list[Job], step: Step) -> Steps:
    return [(job, step) for job in jobs]
