"""One request, from its permit to its settlement, and what a completion holds for each of its reads."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from helix_ray.analysis.answers import ParsedAnswers, parse_answer
from helix_ray.analysis.prompts import opaque_id
from helix_ray.analyzer.counters import AnalyzerCounters
from helix_ray.analyzer.leased_reads import ReadTask
from helix_ray.analyzer.permit_client import PermitClient
from helix_ray.analyzer.read_request import RequestLog, RequestMaker, Sent
from helix_ray.analyzer.read_results import Answered, ResultMaker
from helix_ray.analyzer.retry_policy import (
    AGAIN,
    DONE,
    DROP,
    UNSAVED,
    Attempts,
    NextAction,
    ReadOutcome,
    ReadOutcomes,
    RetryPolicy,
    for_each,
)
from helix_ray.backends.chat import ChatBackend, ChatReply
from helix_ray.clock import Clock
from helix_ray.environment.logs import Event, event_logger
from helix_ray.providers.prices import cost_usd
from helix_ray.providers.readings import AnswerError, Completion, LimitReading, RateLimitDetail
from helix_ray.records import Refused, StoredAnswer, TokenUsage
from helix_ray.throttle.messages import Refusal

log = event_logger(__name__)

SMALLEST_SHARE = Decimal("1e-12")
"""US dollars: the last place of the database's money columns."""


class RequestSizes:
    """The largest request that gets no 413: from the headers of any answer, or from the 413 of a larger one."""

    def __init__(self) -> None:
        self._shown: float | None = None  # tokens a minute, by the newest headers
        self._refused: float | None = None  # the limit that a 413 named

    def read(self, reading: LimitReading) -> None:
        """Headers that show more than a 413 named replace it: the limit was raised."""
        if reading.tokens_limit is not None:
            self._shown = reading.tokens_limit
            if self._refused is not None and self._shown > self._refused:
                self._refused = None

    def refused(self, detail: RateLimitDetail) -> None:
        if detail.never_fits and detail.kind in ("TPM", "TPD"):
            self._refused = detail.limit

    def too_large(self, tokens: int, reads: int) -> bool:
        """Whether a request of these tokens (prompt estimate and completion) would get a 413. A request of a single read is
        sent until such a request was refused: its estimate may be too high, and shrinking it costs room for its answer.
        """
        if self._refused is not None and tokens > self._refused:
            return True
        return reads > 1 and self._shown is not None and tokens > self._shown


@dataclass(frozen=True, slots=True)
class RequestCycle:
    backend: ChatBackend
    permits: PermitClient
    requests: RequestMaker
    sizes: RequestSizes
    results: ResultMaker
    attempts: Attempts
    retry: RetryPolicy
    log: RequestLog
    counters: AnalyzerCounters
    clock: Clock
    timeout_s: float  # of one request

    async def run(self, tasks: list[ReadTask]) -> ReadOutcomes:
        """Ask about these reads in one request. One outcome for each of them."""
        request = self.requests.make(tasks)
        permit_request = self.requests.permit_request(request, str(uuid.uuid4()))
        tokens = permit_request.prompt_tokens + permit_request.max_completion_tokens
        if self.sizes.too_large(tokens, len(tasks)) and (smaller := self.retry.smaller(request)):
            return smaller
        withdrawals = self.permits.withdrawals
        permit = await self.permits.acquire(permit_request)
        if permit is None:
            return for_each(tasks, AGAIN)
        if isinstance(permit, Refusal):
            return for_each(tasks, ReadOutcome(NextAction.REFUSED, refusal=permit))
        granted_at = self.clock.monotonic()

        def withdrawn_or_expiring() -> bool:
            """A permit that expires under its request counts as sent and billed, and its limits are given to another request."""
            expires = self.clock.monotonic() - granted_at + self.timeout_s > permit.expires_in_s
            return expires or self.permits.withdrawals != withdrawals

        dropped = for_each([task for task in tasks if task.lost], DROP)
        if 0 < len(dropped) < len(tasks):  # the rest goes on, within what was reserved for all
            request = self.requests.make([task for task in tasks if not task.lost])
        request.payload["service_tier"] = permit.service_tier
        sent = Sent(request, permit_request, permit, self.clock.now(), granted_at)
        if len(dropped) == len(tasks):
            self.log.unused(sent)
            return dropped
        if withdrawn_or_expiring():
            self.log.unused(sent)
            return dropped + for_each(request.tasks, AGAIN)
        try:
            refused = await self.log.intend(sent)
        except asyncio.CancelledError:
            self.log.not_sent(sent, "abandoned", "given up when the run was stopped, before it was sent")
            raise
        if refused is not None:  # and so is not on record: a read that waits for another analyzer's answer asks every second
            self.log.unused(sent)
            return dropped + self._kept_back(request.tasks, refused)
        if withdrawn_or_expiring():
            self.log.not_sent(sent, "not_sent", "the permit was withdrawn, or about to expire, before the request was on record")
            return dropped + for_each(request.tasks, AGAIN)
        if any(task.lost for task in request.tasks):  # another analyzer may be paying for these already
            self.log.not_sent(sent, "not_sent", "the lease of a read ended before the request was on record")
            return dropped + [(task, DROP if task.lost else AGAIN) for task in request.tasks]
        return dropped + await self._send(sent._replace(sent_at=self.clock.monotonic(), number=self.attempts.sent()))

    async def _send(self, sent: Sent) -> ReadOutcomes:
        try:
            reply = await self.backend.complete(sent.request.payload, self.timeout_s)
        except asyncio.CancelledError:  # the drain's time is up: the request may be answered and billed all the same
            self.log.unknown(sent, "abandoned", "given up when the run was stopped")
            raise
        if isinstance(reply, ChatReply) and 200 <= reply.status < 300:  # anything else is not billed
            self.log.received(sent, reply)
        verdict = reply.verdict
        raw = reply.reading.completion if isinstance(reply, ChatReply) else None
        log.debug(Event.REPLY, call_id=sent.call_id, asked=sent.request.payload, kind=verdict.error_kind, text=verdict.message, answer=raw)
        text = f"{verdict.error_kind}: {verdict.message}"
        if isinstance(reply, ChatReply):
            reading = reply.reading
            self.sizes.read(reading.limits)
            if isinstance(reading.completion, Completion):
                return self._answered(sent, reply, reading.completion)
            if reading.completion is None:
                if reading.limited is not None:
                    self.sizes.refused(reading.limited)
                self.log.rejected(sent, reply)
                return self.retry.after(sent, verdict, f"HTTP {reply.status} {text}")
            for task in sent.request.tasks:
                task.unusable.append(sent.call_id)
        elif reply.kind == "not_sent":
            self.log.not_sent(sent, verdict.error_kind, verdict.message, verdict.trouble)
            return self.retry.after(sent, verdict, text)
        self.log.unknown(sent, verdict.error_kind, verdict.message, reply)
        return self.retry.after(sent, verdict, text)

    def _answered(self, sent: Sent, reply: ChatReply, completion: Completion) -> ReadOutcomes:
        """Record the request's cost, then decide for each of its reads. Only the ids that were asked for are looked up."""
        tasks, asked = sent.request.tasks, sent.request.asked
        template, usage = self.requests.payloads.template, completion.usage
        answer = parse_answer(completion, asked, packed=template.packed, work=template.work)
        self.attempts.answered(sent.number)
        answered = Answered(sent.call_id, completion, reply.latency_s * 1000, len(tasks), sent.permit.service_tier)
        cost = self._cost(usage, sent.permit_request.worst_case_usd)
        if usage is not None:
            self.requests.estimator.observe(sent.request.bases, usage.prompt, len(tasks))
        self.counters.answered(usage, cost, answered.latency_ms)
        self.log.answered(sent, reply, usage, cost, _fault(answer, len(tasks)))
        for task, share in zip(tasks, cost_shares(cost, len(tasks)), strict=True):
            task.cost_usd += share
        return [(task, self._outcome(task, opaque_id, answer, answered)) for task, opaque_id in zip(tasks, asked, strict=True)]

    def _kept_back(self, tasks: list[ReadTask], refused: Refused) -> ReadOutcomes:
        """Reads that were not named go into a new request. Answers that were handed back are judged as if they had just come."""
        outcomes: ReadOutcomes = []
        for task in tasks:
            index = task.read.read_index
            outcome = DONE if index in refused.done else UNSAVED if index in refused.unsaved else AGAIN
            for stored in (answer for named, answer in refused.answers if named == index):
                outcome = self._judged_again(task, stored)
                if outcome.action is NextAction.STORE:
                    break
            outcomes.append((task, outcome))
        return outcomes

    def _judged_again(self, task: ReadTask, stored: StoredAnswer) -> ReadOutcome:
        """An answer of a holder that died, for one of its reads. It is paid for: nothing is sent and no permit is spent."""
        call, receipt = stored
        indices, template = receipt.read_indices, self.requests.payloads.template
        took_s = 0.0 if call.created_at is None else max(0.0, (receipt.arrived_at - call.created_at).total_seconds())
        reply = self.backend.stored(receipt.status, receipt.body, took_s)
        completion = reply.reading.completion
        if not isinstance(completion, Completion):
            self.log.found(stored, reply, None, call.worst_case_usd, completion)
            task.unusable.append(call.call_id)
            return AGAIN
        asked = [opaque_id(self.requests.nonce, index) for index in indices]
        answer = parse_answer(completion, asked, packed=template.packed, work=template.work)
        cost = self._cost(completion.usage, call.worst_case_usd)
        self.log.found(stored, reply, completion.usage, cost, _fault(answer, len(indices)))
        place = indices.index(task.read.read_index)
        task.cost_usd += cost_shares(cost, len(indices))[place]
        task.repairs = int(call.kind == "repair")  # two answers to the first request of a read take one repair, not two
        answered = Answered(call.call_id, completion, took_s * 1000, len(indices), call.service_tier or "on_demand")
        return self._outcome(task, asked[place], answer, answered)

    def _cost(self, usage: TokenUsage | None, worst_case_usd: Decimal) -> Decimal:
        """US dollars; ``usage`` None: the provider counted no tokens."""
        return worst_case_usd if usage is None else cost_usd(self.requests.tariff.price, usage)

    def _outcome(self, task: ReadTask, opaque_id: str, answer: ParsedAnswers | AnswerError, answered: Answered) -> ReadOutcome:
        if isinstance(answer, AnswerError):
            return self.retry.unusable(task, answer, answered)
        if opaque_id in answer.faults:
            return self.retry.unusable(task, answer.faults[opaque_id], answered)
        own = answer.answers[opaque_id]
        self.counters.lenient += bool(own.leniency)
        return ReadOutcome(NextAction.STORE, self.results.stored(task, own, answered, self.clock.now()))


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
