"""The analyzer without Ray: leases reads, keeps the requests in flight, hands results to the sink, and ends in good order.

lease ──► ready ──slot──► request ──► result ──► outbox ──► committed
            ▲                ├─ again ┐        each read of a request has its own outcome
            └────────────────┴─ later ┘        stop: what is not in flight goes back to the queue
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prompts import template_of
from helix_ray.analysis.tokens import TokenEstimator
from helix_ray.analyzer.answering import Aligning, Answering, RequestSlots
from helix_ray.analyzer.counters import AnalyzerCounters
from helix_ray.analyzer.leased_reads import LeasedReads, ReadTask
from helix_ray.analyzer.permit_client import PermitClient
from helix_ray.analyzer.ports import DrainReply, QueuePort, SinkPort, ThrottlePort
from helix_ray.analyzer.read_request import RequestLog, RequestMaker
from helix_ray.analyzer.read_results import ResultMaker, preset_result
from helix_ray.analyzer.request_cycle import RequestCycle, RequestSizes
from helix_ray.analyzer.retry_policy import Attempts, NextAction, ReadOutcomes, RetryPolicy
from helix_ray.analyzer.sink_client import LINGER_S, RequestRecords, ResultOutbox
from helix_ray.backends.chat import ChatBackend
from helix_ray.clock import Clock
from helix_ray.config import Config
from helix_ray.metrics.reports import AnalyzerReport, nearest_rank
from helix_ray.providers.prices import Tariff, tariff_of
from helix_ray.records import AnalyzerEnd, DesiredState, ReadResult
from helix_ray.storage.spool import Spool
from helix_ray.throttle.messages import Refusal

FLUSH_S = 8.0
"""How long a drain waits for commits after the last request; results that are on their way need less."""
RESULTS_LINGER = 5
"""Times as long as what somebody waits for: results wait for company, since the sink commits twice a second at most."""
LEAST_UNSAVED = 200
"""Results that may wait for their commit before no more is leased, however small the sink's batches are."""


class AnalysisEngine:
    def __init__(
        self,
        config: Config,
        queue: QueuePort,
        throttle: ThrottlePort,
        sink: SinkPort,
        backend: ChatBackend | None,
        *,
        clock: Clock,
        nonce: str,
        rng: random.Random,
        linger_s: float = LINGER_S,
        tariff: Tariff | None = None,
        spool: Spool | None = None,
    ) -> None:
        """``backend`` None: the aligner answers at once. ``tariff`` None: as the table has it. ``nonce``: see `RequestMaker`.
        ``spool``: see `RequestRecords`.

        Raises ConfigError for a model without a price and an unknown prompt.
        """
        self._queue = queue
        self._throttle = throttle
        self._clock = clock
        self._config = config
        self._limit = config.analyzer.requests_in_flight
        self._max_unsaved = max(LEAST_UNSAVED, 2 * config.sink.batch_size)
        self._counters = AnalyzerCounters()
        self._leased = LeasedReads()
        self._linger_s = linger_s
        self._outbox = ResultOutbox(sink, clock, self._committed, RESULTS_LINGER * linger_s)
        records = RequestRecords(sink, clock, spool, linger_s)
        self._answering = Aligning(clock, self._follow) if backend is None else self._request_slots(records, backend, nonce, rng, tariff)
        self._group: asyncio.TaskGroup | None = None
        self._changed = asyncio.Event()
        self._paused = False
        self._no_more: AnalyzerEnd | None = None  # why no more is leased
        self._stopped = False  # nothing more is sent
        self._returned = 0
        self._received: str | None = None  # the newest lease
        self._held_back_s = 0.0  # nothing was leased, since too many results waited for their commit
        self._held_back_since: float | None = None
        self.limited: str | None = None
        self.refused: str | None = None

    def _request_slots(
        self, records: RequestRecords, backend: ChatBackend, nonce: str, rng: random.Random, tariff: Tariff | None
    ) -> Answering:
        settings, retrying, clock, counters = self._config.analyzer, self._config.retry, self._clock, self._counters
        template = template_of(settings)
        payloads = PayloadBuilder(
            template,
            model=settings.model,
            seed=self._config.run.seed if settings.seed is None else settings.seed,
            max_completion_tokens=settings.max_completion_tokens,
            reasoning_effort=settings.reasoning_effort,
            service_tier=settings.service_tier,
        )
        estimator, tariff = TokenEstimator(template), tariff or tariff_of(settings.model)
        results, attempts = ResultMaker(settings.model, template), Attempts(retrying.max_attempts)
        permits = PermitClient(self._throttle, clock, self._linger_s)
        cycle = RequestCycle(
            backend=backend,
            permits=permits,
            requests=RequestMaker(payloads, estimator, tariff, nonce, settings.max_completion_tokens, settings.service_tier),
            sizes=RequestSizes(),
            results=results,
            attempts=attempts,
            retry=RetryPolicy(results, retrying, settings.on_capacity_exceeded, attempts, counters, clock, rng),
            log=RequestLog(permits, records, self._outbox.add, counters, clock, settings.model, self._config.provider_name),
            counters=counters,
            clock=clock,
            timeout_s=settings.request_timeout_s,
        )
        return RequestSlots(cycle, settings.requests_in_flight, settings.reads_per_request, self._follow)

    async def run(self) -> AnalyzerEnd:
        """Work until there is no more to do. Returns why. Then no read is held."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            background = [group.create_task(self._outbox.run()), group.create_task(self._keep_leases()), *self._answering.start(group)]
            await self._lease_reads()
            await self._until(lambda: not self._answering.busy)
            await self._hand_back()
            await self._outbox.flush()
            await self._answering.flush()
            for task in background:
                task.cancel()
        return self._no_more or AnalyzerEnd.CLOSED

    def apply(self, state: DesiredState) -> None:
        """Paused: no new leases and permits. Ending: no new leases. Requests in flight go on, also those above a lower bound."""
        if state.ending is not None:
            self._no_more = self._no_more or AnalyzerEnd.ENDING
        self._paused = state.paused
        self._limit = state.requests_in_flight or self._config.analyzer.requests_in_flight
        self._answering.bound(self._limit, self._paused)
        self._changed.set()

    async def drain(self, timeout_s: float) -> DrainReply:
        """Let requests in flight end for up to ``timeout_s`` seconds, hand the rest back, wait for the commits."""
        self._stop(AnalyzerEnd.DRAINED)
        await self._hand_back()
        if not await _within(self._clock, timeout_s, self._until(lambda: not self._answering.busy)):
            self._give_back(await self._answering.abandon())
            await self._hand_back()
        await _within(self._clock, min(timeout_s, FLUSH_S), self._outbox.flush())
        return DrainReply(self._returned, self._outbox.unsaved)

    def report(self) -> AnalyzerReport:
        flow, results, counters = self._answering.flow(), self._answering.results, self._counters
        self._is_held_back()
        return AnalyzerReport(
            analysed=counters.analysed,
            dead_letters=counters.dead_letters,
            requests=counters.requests,
            rate_limited=counters.rate_limited,
            resent=counters.resent,
            failures=counters.failures,
            failed=dict(counters.failed),
            repairs=counters.repairs,
            lenient=counters.lenient,
            tokens_prompt=counters.tokens[0],
            tokens_cached=counters.tokens[1],
            tokens_completion=counters.tokens[2],
            cost_usd=counters.cost_usd,
            tier=dict(counters.tiers),
            left_out=dict(counters.left_out),
            score=counters.scores.model.as_dict(),
            all_differences=counters.scores.all_differences.as_dict(),
            ceiling=counters.scores.ceiling.as_dict(),
            reads=asdict(counters.scores.reads),
            off_by=dict(counters.scores.off_by),
            baseline_s=results.baseline_s,
            scoring_s=results.scoring_s,
            held_back_s=self._held_back_s,
            intent_wait_s=flow.intent_wait_s,
            latency_ms_p50=nearest_rank(counters.latencies_ms, 50),
            latency_ms_p95=nearest_rank(counters.latencies_ms, 95),
            latency_ms_p99=nearest_rank(counters.latencies_ms, 99),
            in_flight=flow.in_flight,
            requests_in_flight=self._limit,
            slots=flow.slots,
            held=self._leased.held,
            unsaved=self._outbox.unsaved,
            limited=self.limited,
            refused=self.refused,
            sink_error=self._outbox.last_error,
        )

    async def _lease_reads(self) -> None:
        least = max(1, self._config.source.batch_size // 2)  # not one call to the queue for every request that ends
        while True:
            await self._until(lambda: self._no_more is not None or (not self._paused and self._room() >= least))
            if self._no_more is not None:
                return
            reply = await self._queue.lease(self._room(), self._received)
            if reply.status == "closed":
                self._no_more = self._no_more or AnalyzerEnd.CLOSED
            elif reply.lease is not None:
                self._received = reply.lease.lease_id
                self._take(self._leased.accept(reply.lease))
                await self._hand_back()

    def _room(self) -> int:
        """Reads that fit in free request slots, plus one batch. 0 while the sink falls behind."""
        if self._is_held_back():
            return 0
        return self._limit * self._config.analyzer.reads_per_request + self._config.source.batch_size - self._leased.held

    def _is_held_back(self) -> bool:
        """Too many results wait for the sink. The time is added up."""
        now, since = self._clock.monotonic(), self._held_back_since
        if since is not None:
            self._held_back_s += now - since
        held_back = self._outbox.unsaved >= self._max_unsaved
        self._held_back_since = now if held_back else None
        return held_back

    def _take(self, tasks: list[ReadTask]) -> None:
        if self._stopped:
            self._give_back(tasks)
            return
        now = self._clock.now()
        for task in tasks:
            if task.read.disposition is not None:
                self._finish(task, preset_result(task, now))
        self._answering.take([task for task in tasks if task.read.disposition is None])

    async def _keep_leases(self) -> None:
        """Also while results wait for their commit: a lease that expired then would have its reads paid for again."""
        while True:
            await self._clock.sleep(self._config.queue.lease_timeout_s / 3)
            lease_ids = self._leased.lease_ids()
            if lease_ids:
                self._leased.lose(await self._queue.extend(lease_ids))

    def _follow(self, outcomes: ReadOutcomes) -> None:
        """Reads that would come again after a stop go back to the queue."""
        for task, outcome in outcomes:
            if outcome.result is not None:
                self._finish(task, outcome.result)
            elif outcome.action is NextAction.DROP:
                self._leased.drop(task)
            elif outcome.action is NextAction.DONE:
                self._leased.settle(task)
            else:
                self._give_back([task])
            if outcome.refusal is not None:
                self._refuse(outcome.refusal)
        if self._leased.has_returns:
            assert self._group is not None
            self._group.create_task(self._hand_back())
        self._changed.set()

    def _refuse(self, refusal: Refusal) -> None:
        """Nothing more may be sent: the budget or a day's limit is used up, or the provider refuses for good."""
        if self._stopped:
            return
        if refusal.reason in ("budget", "daily"):
            self.limited = refusal.reason
        elif refusal.reason == "refused":
            self.refused = refusal.message
            assert self._group is not None
            self._group.create_task(self._throttle.stop(refusal.message))
        self._stop(AnalyzerEnd(refusal.reason))

    def _stop(self, reason: AnalyzerEnd) -> None:
        if not self._stopped:
            self._no_more = reason
        self._stopped = True
        self._give_back(self._answering.stop())
        self._changed.set()

    def _finish(self, task: ReadTask, result: ReadResult) -> None:
        self._answering.results.timed(lambda: self._counters.finished(result))
        self._leased.finish(task)
        self._outbox.add(result)

    def _committed(self, read_indices: list[int]) -> None:
        self._leased.commit(read_indices)
        self._changed.set()

    def _give_back(self, tasks: list[ReadTask]) -> None:
        for task in tasks:
            self._leased.give_back(task)
        self._returned += len(tasks)

    async def _hand_back(self) -> None:
        for lease_id, fence, read_indices in self._leased.take_returns():
            await self._queue.nack(lease_id, fence, read_indices)

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._changed.clear()
            await self._changed.wait()


async def _within(clock: Clock, seconds: float, wait: Awaitable[None]) -> bool:
    """Whether ``wait`` ended within this time. It is cancelled when it did not."""
    waiting, timer = asyncio.ensure_future(wait), asyncio.ensure_future(clock.sleep(seconds))
    done, late = await asyncio.wait((waiting, timer), return_when=asyncio.FIRST_COMPLETED)
    for task in late:
        task.cancel()
    await asyncio.wait((waiting, timer))
    if waiting in done:
        waiting.result()
    return waiting in done
