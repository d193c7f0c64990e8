"""One request, from its permit to its settlement. What becomes of its reads is decided by what it brought back."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

from helix_ray.analyzer.answer_reader import AnswerReader
from helix_ray.analyzer.attempts import Attempts
from helix_ray.analyzer.leased_reads import Job
from helix_ray.analyzer.next_steps import Next, Setbacks, Step, Steps, everyone
from helix_ray.analyzer.permit_client import PermitClient
from helix_ray.analyzer.read_request import RequestMaker
from helix_ray.analyzer.request_log import RequestLog, Sent
from helix_ray.backends.chat import ChatBackend, ChatReply, TransportFailure
from helix_ray.clock import Clock
from helix_ray.providers.groq.errors import Verdict, VerdictKind, classify, classify_unanswered
from helix_ray.providers.groq.headers import read_limits, read_rate_limit
from helix_ray.providers.readings import RateLimitDetail
from helix_ray.throttle.limits.request_sizes import RequestSizes
from helix_ray.throttle.messages import Permit, Refusal


@dataclass(frozen=True, slots=True)
class Analyst:
    backend: ChatBackend
    permits: PermitClient
    requests: RequestMaker
    sizes: RequestSizes
    attempts: Attempts
    answers: AnswerReader
    setbacks: Setbacks
    log: RequestLog
    clock: Clock
    timeout_s: float  # of one request

    async def attempt(self, jobs: list[Job]) -> Steps:
        """Asks about these reads in one request; one step for each of them."""
        request = self.requests.make(jobs)
        want = self.requests.want(request, str(uuid.uuid4()))
        if self.sizes.too_large(want.prompt_tokens + want.max_completion_tokens, len(jobs)):
            smaller = self.setbacks.smaller(request)
            if smaller:
                return smaller
        withdrawals = self.permits.withdrawals
        permit = await self.permits.acquire(want)
        if permit is None:
            return everyone(jobs, Step(Next.AGAIN))
        if isinstance(permit, Refusal):
            return everyone(jobs, Step(Next.REFUSED, refusal=permit))
        granted_at = self.clock.monotonic()
        lost = [job for job in jobs if job.lost]
        if lost and len(lost) < len(jobs):  # the rest goes on, within what was reserved for all
            request = self.requests.make([job for job in jobs if not job.lost])
        request.payload["service_tier"] = permit.service_tier
        sent = Sent(
            request,
            want.want_id,
            permit.permit_id,
            want.worst_case_usd,
            self.clock.now(),
            granted_at,
            prompt_estimate=want.prompt_tokens,
            service_tier=permit.service_tier,
        )
        dropped = everyone(lost, Step(Next.DROP))
        if len(lost) == len(jobs):
            self.log.unused(sent)
            return dropped
        if self.permits.withdrawals != withdrawals or self._may_expire(permit, granted_at):
            self.log.unused(sent)
            return dropped + everyone(request.jobs, Step(Next.AGAIN))
        await self._intend(sent)
        if self.permits.withdrawals != withdrawals or self._may_expire(permit, granted_at):
            self.log.not_sent(sent, "not_sent", "the permit was withdrawn, or about to expire, before the request was on record")
            return dropped + everyone(request.jobs, Step(Next.AGAIN))
        if any(job.lost for job in request.jobs):  # somebody else may be paying for these already
            self.log.not_sent(sent, "not_sent", "the lease of a read ended before the request was on record")
            return dropped + [(job, Step(Next.DROP if job.lost else Next.AGAIN)) for job in request.jobs]
        return dropped + await self._send(sent._replace(sent_at=self.clock.monotonic(), number=self.attempts.sent()))

    def _may_expire(self, permit: Permit, granted_at: float) -> bool:
        """Before its request has ended: it would count as sent and billed, and its limits would be given to somebody else."""
        return self.clock.monotonic() - granted_at + self.timeout_s > permit.expires_in_s

    async def _intend(self, sent: Sent) -> None:
        try:
            await self.log.intend(sent)
        except asyncio.CancelledError:
            self.log.not_sent(sent, "abandoned", "given up when the run was stopped, before it was sent")
            raise

    async def _send(self, sent: Sent) -> Steps:
        try:
            reply = await self.backend.complete(sent.request.payload, self.timeout_s)
        except asyncio.CancelledError:  # the drain's time is up: the request may be answered and billed all the same
            self.log.unknown(sent, "abandoned", "given up when the run was stopped")
            raise
        if isinstance(reply, TransportFailure):
            return self._no_answer(sent, reply)
        self.sizes.read(read_limits(reply.headers))
        verdict = classify(reply.status, reply.body, reply.headers)
        return self.answers.read(sent, reply) if verdict.kind is VerdictKind.OK else self._error(sent, reply, verdict)

    def _no_answer(self, sent: Sent, failure: TransportFailure) -> Steps:
        verdict = classify_unanswered(failure.error_kind, failure.message)
        if failure.kind == "not_sent":
            self.log.not_sent(sent, failure.error_kind, failure.message, verdict.trouble)
        else:
            self.log.unknown(sent, failure.error_kind, failure.message, latency_s=failure.latency_s, trouble=verdict.trouble)
        return self.setbacks.after(sent, verdict, f"{failure.error_kind}: {failure.message}")

    def _error(self, sent: Sent, reply: ChatReply, verdict: Verdict) -> Steps:
        limited = _limit_met(reply)
        if limited is not None:
            self.sizes.refused(limited)
        self.log.rejected(sent, reply, verdict.error_kind, verdict.message, limited, verdict.trouble)
        return self.setbacks.after(sent, verdict, f"HTTP {reply.status} {verdict.error_kind}: {verdict.message}")


def _limit_met(reply: ChatReply) -> RateLimitDetail | None:
    """A 413 that names no limit met none: whatever the limits have room for, the body is too long."""
    if reply.status not in (429, 413):
        return None
    detail = read_rate_limit(reply.headers, reply.body)
    return detail if reply.status == 429 or detail.never_fits else None
