"""The books of every request: its permit is settled with the throttle, its row goes to the sink. Nothing is sent off the books."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from helix_ray.analysis.answers import AnswerError
from helix_ray.analyzer.counters import AnalyzerCounters
from helix_ray.analyzer.permit_client import PermitClient
from helix_ray.analyzer.read_request import ReadRequest
from helix_ray.backends.chat import ChatReply
from helix_ray.clock import Clock
from helix_ray.providers.outside_text import printable
from helix_ray.providers.readings import Completion, ServiceTier, Trouble
from helix_ray.records import ApiCall, CallState, TokenUsage
from helix_ray.throttle.messages import Settlement

_MAX_ERROR = 1000
_NOTHING = Decimal(0)
_NO_TOKENS = TokenUsage(0, 0, 0)


class Sent(NamedTuple):
    """A request that has its permit."""

    request: ReadRequest
    call_id: str  # uuid
    permit_id: str
    worst_case_usd: Decimal  # reserved; the request's own is less where reads dropped out while it waited for the permit
    created_at: datetime
    sent_at: float  # monotonic seconds
    number: int = 0  # 1 for this analyzer's first request, then counting up
    prompt_estimate: int = 0  # tokens
    service_tier: ServiceTier = "on_demand"


class RequestLog:
    def __init__(
        self,
        permits: PermitClient,
        record: Callable[[ApiCall], Awaitable[None]],
        add_call: Callable[[ApiCall], None],
        counters: AnalyzerCounters,
        clock: Clock,
        model: str,
    ) -> None:
        """``record`` puts a call on record and returns after its commit; ``add_call`` hands one in and waits for nothing."""
        self._permits = permits
        self._record = record
        self._add_call = add_call
        self._counters = counters
        self._clock = clock
        self._model = model

    def unused(self, sent: Sent) -> None:
        """The permit came, but there is nothing to send any more."""
        self._permits.settle(Settlement(sent.permit_id, "not_sent"))

    async def intend(self, sent: Sent) -> None:
        """Returns when the request is on record, which comes before its send: a crash leaves no request that nobody knows."""
        await self._record(self._call(sent, CallState.INTENDED))

    def not_sent(self, sent: Sent, error_kind: str, error: str, trouble: Trouble | None = None) -> None:
        """It is on record, but nothing left this machine: no connection, or its permit was withdrawn or about to expire."""
        self._permits.settle(Settlement(sent.permit_id, "not_sent", trouble=trouble))
        self._row(sent, CallState.FAILED, error_kind=error_kind, error=error)

    def unknown(
        self,
        sent: Sent,
        error_kind: str,
        error: str,
        *,
        reply: ChatReply | None = None,
        latency_s: float | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        """It left, and what it cost is not known: it counts at its worst case, or a resumed run could pass its budget.

        ``reply``: an HTTP answer without a completion; None: no answer.
        """
        self._counters.requests += 1
        cost = sent.worst_case_usd
        self._counters.cost_usd += float(cost)
        status, limits = (reply.status, reply.reading.limits) if reply is not None else (None, None)
        settlement = Settlement(sent.permit_id, "unknown", None, cost, limits, latency_s=latency_s, trouble=trouble)
        self._permits.settle(settlement, sent.sent_at)
        self._row(sent, CallState.POSSIBLY_BILLED, status=status, cost=cost, latency_s=latency_s, error_kind=error_kind, error=error)

    def rejected(self, sent: Sent, reply: ChatReply) -> None:
        """An error from the provider, which bills nothing."""
        verdict, limits, limited, _, request_id = reply.reading
        self._counters.requests += 1
        self._counters.rate_limited += reply.rate_limited
        self._permits.settle(
            Settlement(sent.permit_id, "rejected", reading=limits, limited=limited, latency_s=reply.latency_s, trouble=verdict.trouble),
            sent.sent_at,
        )
        self._row(
            sent,
            CallState.FAILED,
            status=reply.status,
            latency_s=reply.latency_s,
            error_kind=verdict.error_kind,
            error=verdict.message,
            request_id=request_id,
        )

    def answered(self, sent: Sent, reply: ChatReply, completion: Completion, cost: Decimal, fault: AnswerError | None = None) -> None:
        """A completion, paid for whether or not it can be used."""
        self._counters.requests += 1
        self._permits.settle(
            Settlement(sent.permit_id, "answered", completion.usage, cost, reply.reading.limits, latency_s=reply.latency_s),
            sent.sent_at,
        )
        self._row(
            sent,
            CallState.ANSWERED,
            status=reply.status,
            usage=completion.usage or _NO_TOKENS,
            cost=cost,
            latency_s=reply.latency_s,
            error_kind=fault.kind if fault else None,
            error=fault.message if fault else None,
            request_id=reply.reading.request_id,
        )

    def _row(
        self,
        sent: Sent,
        state: CallState,
        *,
        status: int | None = None,
        usage: TokenUsage = _NO_TOKENS,
        cost: Decimal = _NOTHING,
        latency_s: float | None = None,
        error_kind: str | None = None,
        error: str | None = None,
        request_id: str | None = None,
    ) -> None:
        """How it ended."""
        self._counters.ended(state, status, error_kind, resent=any(job.retrying for job in sent.request.jobs))
        self._add_call(
            replace(
                self._call(sent, state),
                status=status,
                prompt_tokens=usage.prompt,
                cached_tokens=usage.cached,
                completion_tokens=usage.completion,
                cost_usd=cost,
                latency_ms=None if latency_s is None else latency_s * 1000,
                provider_request_id=None if request_id is None else printable(request_id, 200),
                error_kind=error_kind,
                error=None if error is None else printable(error, _MAX_ERROR),
                finished_at=self._clock.now(),
            )
        )

    def _call(self, sent: Sent, state: CallState) -> ApiCall:
        """What is known before the send."""
        jobs = sent.request.jobs
        return ApiCall(
            call_id=sent.call_id,
            kind=sent.request.kind,
            attempt=1 + max(job.failures for job in jobs),
            read_indices=[job.read.read_index for job in jobs],
            state=state,
            status=None,
            model=self._model,
            worst_case_usd=sent.worst_case_usd,
            created_at=sent.created_at,
            service_tier=sent.service_tier,
            prompt_estimate=sent.prompt_estimate,
            max_completion_tokens=sent.request.max_completion_tokens,
            throttle_epoch=epoch_of(sent.permit_id),
            retry=any(job.retrying for job in jobs),
        )


def epoch_of(permit_id: str) -> str | None:
    """The incarnation of the throttle that gave this permit: its ids are ``EPOCH-NUMBER``."""
    return permit_id.rpartition("-")[0] or None
