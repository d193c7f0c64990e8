"""A request about one or several reads: what is sent, under which ids, at what cost, and how it is booked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prompts import Ask, opaque_id
from helix_ray.analysis.tokens import TokenEstimator
from helix_ray.analyzer.counters import AnalyzerCounters
from helix_ray.analyzer.leased_reads import ReadTask
from helix_ray.analyzer.permit_client import PermitClient
from helix_ray.analyzer.read_results import MAX_ERROR
from helix_ray.analyzer.sink_client import RequestRecords
from helix_ray.backends.chat import ChatReply, TransportFailure
from helix_ray.clock import Clock
from helix_ray.providers.outside_text import printable
from helix_ray.providers.prices import Tariff, worst_case_usd
from helix_ray.providers.readings import AnswerError, Completion, Trouble
from helix_ray.records import ApiCall, CallState, Intent, Receipt, Refused, StoredAnswer, TokenUsage
from helix_ray.records.calls import RequestedTier
from helix_ray.throttle.messages import Permit, PermitRequest, Settlement, SettlementOutcome

REPAIR_SEED = 1
"""Added to the run's seed: at temperature 0 the same seed is likely to give the same unusable answer again."""


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

    def permit_request(self, request: ReadRequest, want_id: str) -> PermitRequest:
        """What the throttle is asked for, to send this request."""
        tokens = self.estimator.estimate(request.bases, len(request.tasks))
        tier = "on_demand" if any(task.on_demand for task in request.tasks) else self.service_tier
        retry = any(task.retrying for task in request.tasks)
        return PermitRequest(want_id, tokens, request.max_completion_tokens, request.worst_case_usd, tier, retry)


class Sent(NamedTuple):
    """A request that has its permit."""

    request: ReadRequest
    permit_request: PermitRequest  # its worst case was reserved; the request's own is less where reads dropped out on the way
    permit: Permit
    created_at: datetime
    sent_at: float  # monotonic seconds
    number: int = 0  # 1 for this analyzer's first request, then counting up

    @property
    def call_id(self) -> str:
        return self.permit.want_id


@dataclass(frozen=True, slots=True)
class RequestLog:
    """Books every request: its permit is settled with the throttle, its row goes to the sink."""

    permits: PermitClient
    records: RequestRecords
    add_call: Callable[[ApiCall], None]  # hands in a row and waits for nothing
    counters: AnalyzerCounters
    clock: Clock
    model: str
    provider: str | None = None

    def unused(self, sent: Sent) -> None:
        """Give back a permit for which nothing is left to send."""
        self.permits.settle(Settlement(sent.permit.permit_id, "not_sent"))

    async def intend(self, sent: Sent) -> Refused | None:
        """Return when the request is on record. This comes before its send, so a crash leaves no request without a row. None: it may
        be sent.
        """
        unusable = tuple((call_id, task.read.read_index) for task in sent.request.tasks for call_id in task.unusable)
        return await self.records.intend(Intent(self._call(sent, CallState.INTENDED), unusable))

    def received(self, sent: Sent, reply: ChatReply) -> None:
        """Keep an answer before anything in it is read."""
        indices = [task.read.read_index for task in sent.request.tasks]
        self.records.received(Receipt(sent.call_id, indices, self.clock.now(), reply.status, reply.body))

    def not_sent(self, sent: Sent, error_kind: str, error: str, trouble: Trouble | None = None) -> None:
        """It is on record, but was not sent: no connection, or its permit was withdrawn or about to expire."""
        self._ended(sent, "not_sent", CallState.FAILED, None, error_kind, error, trouble=trouble)

    def unknown(self, sent: Sent, error_kind: str, error: str, reply: ChatReply | TransportFailure | None = None) -> None:
        """It was sent, and its cost is not known: it counts at its worst case, or a resumed run could pass its budget.

        ``reply``: an HTTP answer without a completion, or a lost connection; None: the request was given up.
        """
        cost, trouble = sent.permit_request.worst_case_usd, None if reply is None else reply.verdict.trouble
        self.counters.cost_usd += float(cost)
        self._ended(sent, "unknown", CallState.POSSIBLY_BILLED, reply, error_kind, error, cost=cost, trouble=trouble)

    def rejected(self, sent: Sent, reply: ChatReply) -> None:
        """An error from the provider, which bills nothing."""
        verdict = reply.verdict
        self.counters.rate_limited += reply.rate_limited
        self._ended(sent, "rejected", CallState.FAILED, reply, verdict.error_kind, verdict.message, trouble=verdict.trouble)

    def answered(self, sent: Sent, reply: ChatReply, usage: TokenUsage | None, cost: Decimal, fault: AnswerError | None = None) -> None:
        """A completion, paid for whether or not it can be used."""
        error_kind, error = (fault.kind, fault.message) if fault else (None, None)
        self._ended(sent, "answered", CallState.ANSWERED, reply, error_kind, error, usage=usage, cost=cost)

    def found(self, stored: StoredAnswer, reply: ChatReply, usage: TokenUsage | None, cost: Decimal, fault: AnswerError | None) -> None:
        """An answer that was handed back: its request ended as its holder, who died, would have said."""
        call, completed = stored.call, isinstance(reply.reading.completion, Completion)
        if call.state is not CallState.ANSWERED:
            self.counters.answered(usage, cost, reply.latency_s * 1000)
        used = usage or TokenUsage(0, 0, 0)
        error_kind, error = (fault.kind, printable(fault.message, MAX_ERROR)) if fault else (None, None)
        self.add_call(
            replace(
                call,
                state=CallState.ANSWERED if completed else CallState.POSSIBLY_BILLED,
                status=reply.status,
                prompt_tokens=used.prompt,
                cached_tokens=used.cached,
                completion_tokens=used.completion,
                cost_usd=cost,
                usage_estimated=completed and usage is None,
                latency_ms=reply.latency_s * 1000,
                provider_request_id=None if reply.reading.request_id is None else printable(reply.reading.request_id, 200),
                error_kind=error_kind,
                error=error,
                finished_at=stored.receipt.arrived_at,
            )
        )

    def _ended(
        self,
        sent: Sent,
        outcome: SettlementOutcome,
        state: CallState,
        reply: ChatReply | TransportFailure | None,
        error_kind: str | None,
        error: str | None,
        *,
        usage: TokenUsage | None = None,
        cost: Decimal | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        """Settle the permit and hand in the row. ``cost`` None: nothing is billed."""
        status, limits, limited, request_id = None, None, None, None
        if isinstance(reply, ChatReply):
            status, reading = reply.status, reply.reading
            limits, limited, request_id = reading.limits, reading.limited, reading.request_id
        latency_s = None if reply is None else reply.latency_s
        settlement = Settlement(sent.permit.permit_id, outcome, usage, cost, limits, limited, latency_s=latency_s, trouble=trouble)
        was_sent = outcome != "not_sent"
        self.permits.settle(settlement, sent.sent_at if was_sent else None)
        self.counters.requests += was_sent
        self.counters.ended(state, status, error_kind, resent=any(task.retrying for task in sent.request.tasks))
        used = usage or TokenUsage(0, 0, 0)
        self.add_call(
            replace(
                self._call(sent, state),
                status=status,
                prompt_tokens=used.prompt,
                cached_tokens=used.cached,
                completion_tokens=used.completion,
                cost_usd=cost or Decimal(0),
                usage_estimated=state is CallState.ANSWERED and usage is None,
                latency_ms=None if latency_s is None else latency_s * 1000,
                provider_request_id=None if request_id is None else printable(request_id, 200),
                error_kind=error_kind,
                error=None if error is None else printable(error, MAX_ERROR),
                finished_at=self.clock.now(),
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
            model=self.model,
            provider=self.provider,
            worst_case_usd=sent.permit_request.worst_case_usd,
            created_at=sent.created_at,
            service_tier=sent.permit.service_tier,
            prompt_estimate=sent.permit_request.prompt_tokens,
            max_completion_tokens=sent.request.max_completion_tokens,
            throttle_epoch=sent.permit.permit_id.rpartition("-")[0] or None,  # its ids are INCARNATION-NUMBER
            retry=any(task.retrying for task in tasks),
        )
