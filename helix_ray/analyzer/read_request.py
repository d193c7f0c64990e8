"""A request about one or several reads: what is sent, under which ids, at what cost, and its books."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prompts import Ask, PromptTemplate, opaque_id
from helix_ray.analysis.tokens import TokenEstimator
from helix_ray.analyzer.counters import AnalyzerCounters
from helix_ray.analyzer.leased_reads import ReadTask
from helix_ray.analyzer.permit_client import PermitClient
from helix_ray.backends.chat import ChatReply
from helix_ray.clock import Clock
from helix_ray.providers.outside_text import printable
from helix_ray.providers.prices import Tariff, worst_case_usd
from helix_ray.providers.readings import AnswerError, Completion, RequestedTier, ServiceTier, Trouble
from helix_ray.records import ApiCall, CallState, TokenUsage
from helix_ray.throttle.messages import PermitRequest, Settlement

REPAIR_SEED = 1
"""Added to the run's seed: at temperature 0 the same seed is likely to give the same unusable answer again."""
_MAX_ERROR = 1000
_NOTHING = Decimal(0)
_NO_TOKENS = TokenUsage(0, 0, 0)


class ReadRequest(NamedTuple):
    tasks: list[ReadTask]
    asked: list[str]  # their opaque ids, in the same order
    kind: Literal["analysis", "repair"]
    payload: dict[str, Any]
    bases: int  # of all windows and reads together
    max_completion_tokens: int  # of the whole answer
    worst_case_usd: Decimal


@dataclass(frozen=True, slots=True)
class RequestMaker:
    """``nonce`` belongs to the run: a read's opaque id differs between runs, and not within one."""

    payloads: PayloadBuilder
    estimator: TokenEstimator
    tariff: Tariff  # its completion limit is the model's own, which a repair may not pass
    nonce: str
    max_completion_tokens: int
    service_tier: RequestedTier

    @property
    def template(self) -> PromptTemplate:
        return self.payloads.template

    def make(self, tasks: Sequence[ReadTask]) -> ReadRequest:
        """For one read or more. A repair is about one read, with another seed, and with twice the room if the answer was cut off."""
        asks = [Ask(opaque_id(self.nonce, task.read.read_index), task.read.ref_seq, task.read.seq) for task in tasks]
        repair = any(task.repairs for task in tasks)
        tokens = self.max_completion_tokens
        if any(task.more_room for task in tasks):
            limit = self.tariff.completion_limit
            tokens = 2 * tokens if limit is None else min(2 * tokens, max(tokens, limit))
        tokens = min([tokens, *(task.max_completion_tokens for task in tasks if task.max_completion_tokens is not None)])
        payload, text = self.payloads.build(asks, seed_offset=REPAIR_SEED if repair else 0, max_completion_tokens=tokens)
        return ReadRequest(
            list(tasks),
            [ask.opaque_id for ask in asks],
            "repair" if repair else "analysis",
            payload,
            sum(len(ask.ref_seq) + len(ask.seq) for ask in asks),
            tokens,
            worst_case_usd(self.tariff.price, self.estimator.ceiling(text), tokens),
        )

    def want(self, request: ReadRequest, want_id: str) -> PermitRequest:
        """The permit that it needs."""
        tokens = self.estimator.estimate(request.bases, len(request.tasks))
        tier = "on_demand" if any(task.on_demand for task in request.tasks) else self.service_tier
        retry = any(task.retrying for task in request.tasks)
        return PermitRequest(want_id, tokens, request.max_completion_tokens, request.worst_case_usd, tier, retry)


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
    """The books of every request: its permit is settled with the throttle, its row goes to the sink."""

    def __init__(
        self,
        permits: PermitClient,
        record: Callable[[ApiCall], Awaitable[None]],
        add_call: Callable[[ApiCall], None],
        counters: AnalyzerCounters,
        clock: Clock,
        model: str,
    ) -> None:
        """``record`` returns after the commit of a call; ``add_call`` hands one in and waits for nothing."""
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
        """Return when the request is on record. This comes before its send, so a crash leaves no request without a row."""
        await self._record(self._call(sent, CallState.INTENDED))

    def not_sent(self, sent: Sent, error_kind: str, error: str, trouble: Trouble | None = None) -> None:
        """It is on record, but was not sent: no connection, or its permit was withdrawn or about to expire."""
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
        """It was sent, and its cost is not known: it counts at its worst case, or a resumed run could pass its budget.

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
        self._counters.ended(state, status, error_kind, resent=any(task.retrying for task in sent.request.tasks))
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
        tasks = sent.request.tasks
        return ApiCall(
            call_id=sent.call_id,
            kind=sent.request.kind,
            attempt=1 + max(task.failures for task in tasks),
            read_indices=[task.read.read_index for task in tasks],
            state=state,
            status=None,
            model=self._model,
            worst_case_usd=sent.worst_case_usd,
            created_at=sent.created_at,
            service_tier=sent.service_tier,
            prompt_estimate=sent.prompt_estimate,
            max_completion_tokens=sent.request.max_completion_tokens,
            throttle_epoch=epoch_of(sent.permit_id),
            retry=any(task.retrying for task in tasks),
        )


def epoch_of(permit_id: str) -> str | None:
    """The incarnation of the throttle that gave this permit: its ids are ``EPOCH-NUMBER``."""
    return permit_id.rpartition("-")[0] or None
