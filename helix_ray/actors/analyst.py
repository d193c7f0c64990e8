"""One attempt at one read: prompt, permit, request, settlement, answer. What becomes of the read is the engine's business."""

from __future__ import annotations

import asyncio
import random
import uuid
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from typing import Any, NamedTuple

from helix_ray.actors.analyzer_counters import AnalyzerCounters
from helix_ray.actors.held_reads import Job
from helix_ray.actors.permit_client import PermitClient
from helix_ray.actors.read_results import ResultMaker
from helix_ray.actors.request_log import RequestLog, Sent
from helix_ray.analysis.answers import AnswerError, parse_answer
from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prices import ModelPrice, cost_usd, worst_case_usd
from helix_ray.analysis.prompts import Ask, opaque_id
from helix_ray.analysis.tokens import TokenEstimator
from helix_ray.backends.chat import ChatBackend, ChatReply, TransportFailure
from helix_ray.clock import Clock
from helix_ray.config import RetryConfig
from helix_ray.records import ReadResult
from helix_ray.throttle.headers import read_limits, read_rate_limit
from helix_ray.throttle.messages import Refusal, Want
from helix_ray.throttle.retry import Verdict, VerdictKind, backoff_s, classify


class Next(Enum):
    """What to do with a read after an attempt."""

    STORE = auto()  # `result` is final
    AGAIN = auto()  # it lost nothing: a 429, or its permit was withdrawn
    LATER = auto()  # after `delay_s`, having lost an attempt
    DROP = auto()  # its lease was lost before anything was sent
    REFUSED = auto()  # by the throttle (`refusal`) or for good by the provider


class Step(NamedTuple):
    next: Next
    result: ReadResult | None = None
    delay_s: float = 0.0
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class RequestLimits:
    max_completion_tokens: int
    timeout_s: float
    retry: RetryConfig


class _Request(NamedTuple):
    read_id: str  # opaque
    payload: dict[str, Any]
    bases: int
    worst_case_usd: Decimal


@dataclass(frozen=True, slots=True)
class Analyst:
    """``nonce`` belongs to the run: a read's opaque id differs between runs, and not within one."""

    backend: ChatBackend
    permits: PermitClient
    payloads: PayloadBuilder
    estimator: TokenEstimator
    price: ModelPrice
    limits: RequestLimits
    results: ResultMaker
    log: RequestLog
    counters: AnalyzerCounters
    clock: Clock
    nonce: str
    rng: random.Random

    async def attempt(self, job: Job) -> Step:
        request: _Request = job.request or self._prepare(job)
        want_id = str(uuid.uuid4())
        estimate = self.estimator.estimate(request.bases)
        want = Want(want_id, estimate, self.limits.max_completion_tokens, request.worst_case_usd)
        permit = await self.permits.acquire(want)
        if permit is None:
            return Step(Next.AGAIN)
        if isinstance(permit, Refusal):
            return Step(Next.REFUSED, refusal=permit)
        sent = Sent(job, want_id, permit.permit_id, request.worst_case_usd, self.clock.now(), self.clock.monotonic())
        if job.lost:
            self.log.unused(sent)
            return Step(Next.DROP)
        try:
            reply = await self.backend.complete(request.payload, self.limits.timeout_s)
        except asyncio.CancelledError:  # the drain's time is up: the request may be answered and billed all the same
            self.log.unknown(sent, "abandoned", "given up when the run was stopped")
            raise
        if isinstance(reply, TransportFailure):
            return self._no_answer(sent, reply)
        verdict = classify(reply.status, reply.body, reply.headers)
        if verdict.kind is VerdictKind.OK:
            return self._answered(sent, request, reply)
        return self._error(sent, reply, verdict)

    def _prepare(self, job: Job) -> _Request:
        read = job.read
        name = opaque_id(self.nonce, read.read_index)
        payload, text = self.payloads.build((Ask(name, read.ref_seq, read.seq),))
        worst = worst_case_usd(self.price, self.estimator.ceiling(text), self.limits.max_completion_tokens)
        job.request = request = _Request(name, payload, len(read.ref_seq) + len(read.seq), worst)
        return request

    def _no_answer(self, sent: Sent, failure: TransportFailure) -> Step:
        if failure.kind == "not_sent":
            self.log.not_sent(sent, failure.error_kind, failure.message)
        else:
            self.log.unknown(sent, failure.error_kind, failure.message, latency_s=failure.latency_s)
        return self._failed(sent, f"{failure.error_kind}: {failure.message}")

    def _answered(self, sent: Sent, request: _Request, reply: ChatReply) -> Step:
        template, read_id = self.payloads.template, request.read_id
        answer = parse_answer(reply.body, (read_id,), packed=template.packed, work=template.work)
        completion = answer.completion
        if completion is None:
            assert isinstance(answer, AnswerError)
            self.log.unknown(
                sent, answer.kind, answer.message, status=reply.status, latency_s=reply.latency_s, reading=read_limits(reply.headers)
            )
            return self._failed(sent, f"{answer.kind}: {answer.message}")
        usage = completion.usage
        cost = sent.worst_case_usd if usage is None else cost_usd(self.price, usage)
        if usage is not None:
            self.estimator.observe(request.bases, usage.prompt)
        if not isinstance(answer, AnswerError):
            answer = answer.faults.get(read_id) or answer
        latency_ms, now = reply.latency_s * 1000, self.clock.now()
        self.counters.answered(usage, cost, latency_ms)
        if isinstance(answer, AnswerError):
            self.log.answered(sent, reply, completion, cost, fault=answer)
            result = self.results.dead_letter(
                sent.job, answer.kind, answer.message, now, call_id=sent.call_id, cost=cost, completion=completion, latency_ms=latency_ms
            )
        else:
            self.log.answered(sent, reply, completion, cost)
            result = self.results.stored(
                sent.job, answer.answers[read_id], completion, now, call_id=sent.call_id, cost=cost, latency_ms=latency_ms
            )
        return Step(Next.STORE, result)

    def _error(self, sent: Sent, reply: ChatReply, verdict: Verdict) -> Step:
        limited = read_rate_limit(reply.headers, reply.body) if reply.status in (429, 413) else None
        self.log.rejected(sent, reply, verdict.error_kind, verdict.message, limited)
        text = f"HTTP {reply.status} {verdict.error_kind}: {verdict.message}"
        match verdict.kind:
            case VerdictKind.RATE_LIMITED:
                return Step(Next.AGAIN)
            case VerdictKind.REFUSE_RUN:
                return Step(Next.REFUSED, refusal=Refusal("refused", text[:500]))
            case VerdictKind.RETRY:
                return self._failed(sent, text, verdict.retry_after_s or 0.0)
            case _:
                self.counters.failures += 1
                sent.job.failures += 1
                return Step(Next.STORE, self.results.dead_letter(sent.job, "api_failed", text, self.clock.now(), call_id=sent.call_id))

    def _failed(self, sent: Sent, text: str, at_least_s: float = 0.0) -> Step:
        """An attempt that counts: after the last one the read is a dead letter."""
        job, retry = sent.job, self.limits.retry
        job.failures += 1
        self.counters.failures += 1
        if job.failures >= retry.max_attempts:
            text = f"{text} (the last of {job.failures} attempts)"
            return Step(Next.STORE, self.results.dead_letter(job, "api_failed", text, self.clock.now(), call_id=sent.call_id))
        delay = backoff_s(job.failures, retry.base_delay_s, retry.max_delay_s, self.rng.random)
        return Step(Next.LATER, delay_s=max(delay, at_least_s))
