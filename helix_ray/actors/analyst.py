"""One request, from its permit to its settlement. What becomes of its reads is decided by what it brought back."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

from helix_ray.actors.answer_reader import AnswerReader
from helix_ray.actors.held_reads import Job
from helix_ray.actors.next_steps import Next, Setbacks, Step, Steps
from helix_ray.actors.permit_client import PermitClient
from helix_ray.actors.read_request import RequestMaker
from helix_ray.actors.request_log import RequestLog, Sent
from helix_ray.backends.chat import ChatBackend, ChatReply, TransportFailure
from helix_ray.clock import Clock
from helix_ray.throttle.headers import read_rate_limit
from helix_ray.throttle.messages import Refusal
from helix_ray.throttle.retry import Verdict, VerdictKind, classify


@dataclass(frozen=True, slots=True)
class Analyst:
    backend: ChatBackend
    permits: PermitClient
    requests: RequestMaker
    answers: AnswerReader
    setbacks: Setbacks
    log: RequestLog
    clock: Clock
    timeout_s: float  # of one request

    async def attempt(self, jobs: list[Job]) -> Steps:
        """Asks about these reads in one request; one step for each of them."""
        request = self.requests.make(jobs)
        want = self.requests.want(request, str(uuid.uuid4()))
        permit = await self.permits.acquire(want)
        if permit is None:
            return _all(jobs, Step(Next.AGAIN))
        if isinstance(permit, Refusal):
            return _all(jobs, Step(Next.REFUSED, refusal=permit))
        lost = [job for job in jobs if job.lost]
        if lost and len(lost) < len(jobs):  # the rest goes on, within what was reserved for all
            request = self.requests.make([job for job in jobs if not job.lost])
        sent = Sent(
            request,
            want.want_id,
            permit.permit_id,
            want.worst_case_usd,
            self.clock.now(),
            self.clock.monotonic(),
            prompt_estimate=want.prompt_tokens,
            service_tier=permit.service_tier,
        )
        dropped = _all(lost, Step(Next.DROP))
        if len(lost) == len(jobs):
            self.log.unused(sent)
            return dropped
        return dropped + await self._send(sent)

    async def _send(self, sent: Sent) -> Steps:
        try:
            reply = await self.backend.complete(sent.request.payload, self.timeout_s)
        except asyncio.CancelledError:  # the drain's time is up: the request may be answered and billed all the same
            self.log.unknown(sent, "abandoned", "given up when the run was stopped")
            raise
        if isinstance(reply, TransportFailure):
            return self._no_answer(sent, reply)
        verdict = classify(reply.status, reply.body, reply.headers)
        return self.answers.read(sent, reply) if verdict.kind is VerdictKind.OK else self._error(sent, reply, verdict)

    def _no_answer(self, sent: Sent, failure: TransportFailure) -> Steps:
        if failure.kind == "not_sent":
            self.log.not_sent(sent, failure.error_kind, failure.message)
        else:
            self.log.unknown(sent, failure.error_kind, failure.message, latency_s=failure.latency_s)
        return self.setbacks.failed(sent, f"{failure.error_kind}: {failure.message}")

    def _error(self, sent: Sent, reply: ChatReply, verdict: Verdict) -> Steps:
        limited = read_rate_limit(reply.headers, reply.body) if reply.status in (429, 413) else None
        self.log.rejected(sent, reply, verdict.error_kind, verdict.message, limited)
        text = f"HTTP {reply.status} {verdict.error_kind}: {verdict.message}"
        match verdict.kind:
            case VerdictKind.RATE_LIMITED:
                return _all(sent.request.jobs, Step(Next.AGAIN))
            case VerdictKind.REFUSE_RUN:
                return _all(sent.request.jobs, Step(Next.REFUSED, refusal=Refusal("refused", text[:500])))
            case VerdictKind.RETRY:
                return self.setbacks.failed(sent, text, verdict.retry_after_s or 0.0)
            case _:
                return self.setbacks.rejected(sent, text)


def _all(jobs: list[Job], step: Step) -> Steps:
    return [(job, step) for job in jobs]
