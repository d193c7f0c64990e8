"""A completion: its money is booked and shared, and each read of the request gets its own answer or its next chance."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from helix_ray.analysis.answers import AnswerError, ParsedAnswers, parse_answer
from helix_ray.analysis.prompts import PromptTemplate
from helix_ray.analysis.tokens import TokenEstimator
from helix_ray.analyzer.attempts import Attempts
from helix_ray.analyzer.counters import AnalyzerCounters
from helix_ray.analyzer.leased_reads import Job
from helix_ray.analyzer.next_steps import Next, Setbacks, Step, Steps
from helix_ray.analyzer.read_results import Answered, ResultMaker
from helix_ray.analyzer.request_log import RequestLog, Sent
from helix_ray.backends.chat import ChatReply
from helix_ray.clock import Clock
from helix_ray.providers.prices import ModelPrice, cost_usd
from helix_ray.providers.readings import Completion

SMALLEST_SHARE = Decimal("1e-12")
"""US dollars: the last place of the database's money columns."""


@dataclass(frozen=True, slots=True)
class AnswerReader:
    template: PromptTemplate
    estimator: TokenEstimator
    price: ModelPrice
    results: ResultMaker
    attempts: Attempts
    setbacks: Setbacks
    log: RequestLog
    counters: AnalyzerCounters
    clock: Clock

    def read(self, sent: Sent, reply: ChatReply, completion: Completion) -> Steps:
        """Books the request, then decides for each of its reads. Only the ids that were asked for are looked up."""
        jobs, asked = sent.request.jobs, sent.request.asked
        answer = parse_answer(completion, asked, packed=self.template.packed, work=self.template.work)
        self.attempts.answered(sent.number)
        answered = Answered(sent.call_id, completion, reply.latency_s * 1000, len(jobs), sent.service_tier)
        cost = self._cost(sent, answered)
        self.log.answered(sent, reply, completion, cost, _fault(answer, len(jobs)))
        for job, share in zip(jobs, cost_shares(cost, len(jobs)), strict=True):
            job.cost_usd += share
        return [(job, self._step(job, opaque_id, answer, answered)) for job, opaque_id in zip(jobs, asked, strict=True)]

    def _cost(self, sent: Sent, answered: Answered) -> Decimal:
        """By the provider's own count of tokens; the worst case where it gives none."""
        usage, request = answered.completion.usage, sent.request
        cost = sent.worst_case_usd if usage is None else cost_usd(self.price, usage)
        if usage is not None:
            self.estimator.observe(request.bases, usage.prompt, len(request.jobs))
        self.counters.answered(usage, cost, answered.latency_ms)
        return cost

    def _step(self, job: Job, opaque_id: str, answer: ParsedAnswers | AnswerError, answered: Answered) -> Step:
        if isinstance(answer, AnswerError):
            return self.setbacks.unusable(job, answer, answered)
        if opaque_id in answer.faults:
            return self.setbacks.unusable(job, answer.faults[opaque_id], answered)
        own = answer.answers[opaque_id]
        self.counters.lenient += bool(own.leniency)
        return Step(Next.STORE, self.results.stored(job, own, answered, self.clock.now()))


def cost_shares(cost: Decimal, reads: int) -> list[Decimal]:
    """Equal shares in whole `SMALLEST_SHARE`; the first takes what is left over, so that they add up to ``cost`` exactly."""
    share = (cost / reads).quantize(SMALLEST_SHARE, ROUND_DOWN)
    return [cost - share * (reads - 1)] + [share] * (reads - 1)


def _fault(answer: ParsedAnswers | AnswerError, reads: int) -> AnswerError | None:
    """For the request's row: what was wrong with the answer, as a whole or for some of its reads."""
    if isinstance(answer, AnswerError):
        return answer
    if answer.faults:
        first = next(iter(answer.faults.values()))
        return AnswerError(first.kind, f"{len(answer.faults)} of {reads} reads without an answer, the first because: {first.message}")
    if answer.foreign:
        return AnswerError("foreign_ids", f"{answer.foreign} answers under ids that were not asked for")
    return None
