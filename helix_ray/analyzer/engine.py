"""The analyzer without Ray: leases reads, keeps the requests in flight, hands results to the sink, and ends in good order.

lease ──► ready ──slot──► request ──► result ──► outbox ──► committed
            ▲                ├─ again ┐        each read of a request has its own next step
            └────────────────┴─ later ┘        stop: whatever is not in flight goes back to the queue
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from helix_ray.analyzer.assembly import EngineParts
from helix_ray.analyzer.leased_reads import Job
from helix_ray.analyzer.next_steps import Next, Steps
from helix_ray.analyzer.ports import DrainReply
from helix_ray.analyzer.read_results import needs_analysis
from helix_ray.analyzer.request_slots import RequestSlots
from helix_ray.clock import Clock
from helix_ray.metrics.reports import AnalyzerReport
from helix_ray.records import DesiredState, ReadResult
from helix_ray.throttle.messages import Refusal

FLUSH_S = 8.0
"""How long a drain waits for commits after the last request; results that are on their way need less."""


class AnalysisEngine:
    """Without an analyst (backend aligner) a read gets its result at once and nobody is asked for a permit."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._held = parts.held
        self._limit = parts.requests_in_flight
        self._borne: int | None = None  # requests in flight that the API bears, over all analyzers
        self._slots = (
            RequestSlots(parts.analyst, parts.clock, self._limit, parts.reads_per_request, self._follow) if parts.analyst else None
        )
        self._group: asyncio.TaskGroup | None = None
        self._changed = asyncio.Event()
        parts.outbox.on_commit = self._committed
        if parts.permits is not None:
            parts.permits.on_concurrency = self._bear
        self._paused = False
        self._no_more: str | None = None  # why no more is leased
        self._stopped = False  # nothing more is sent
        self._returned = 0
        self._held_back_s = 0.0  # nothing was leased, since too many results waited for their commit
        self._held_back_since: float | None = None
        self.limited: str | None = None
        self.refused: str | None = None

    async def run(self) -> str:
        """Works until there is no more to do; returns why: closed, ending, drained, budget, daily or refused. Then nothing is held."""
        parts = self._parts
        async with asyncio.TaskGroup() as group:
            self._group = group
            background = [group.create_task(parts.outbox.run()), group.create_task(self._keep_leases())]
            if parts.permits is not None and self._slots is not None:
                background.append(group.create_task(parts.permits.run()))
                self._slots.open(group)
            await self._lease_reads()
            await self._until(lambda: self._slots is None or not self._slots.busy)
            await self._hand_back()
            await parts.outbox.flush()
            if parts.permits is not None:
                await parts.permits.flush()
            for task in background:
                task.cancel()
        return self._no_more or "closed"

    def adopt(self, state: DesiredState) -> None:
        """Paused: no new leases and permits, what is in flight goes on. Ending: no new leases."""
        if state.ending is not None:
            self._no_more = self._no_more or "ending"
        self._paused = state.paused
        if self._slots is not None:
            if state.paused and not self._slots.paused and self._parts.permits is not None:
                self._parts.permits.withdraw_all()
            self._slots.paused = state.paused
            self._slots.advance()
        self._changed.set()

    def resize(self, requests_in_flight: int) -> None:
        """A new bound on requests in flight, at once; requests above it are left to end."""
        self._limit = max(1, requests_in_flight)
        self._set_slots()
        self._changed.set()

    async def drain(self, timeout_s: float) -> DrainReply:
        """Lets requests in flight end for up to ``timeout_s`` seconds, hands the rest back, waits for the commits."""
        self._stop("drained")
        await self._hand_back()
        slots = self._slots
        if slots is not None and not await _within(self._parts.clock, timeout_s, self._until(lambda: not slots.running)):
            self._give_back(await slots.abandon())
            await self._hand_back()
        await _within(self._parts.clock, min(timeout_s, FLUSH_S), self._parts.outbox.flush())
        return DrainReply(self._returned, self._parts.outbox.unsaved)

    def report(self) -> AnalyzerReport:
        parts, slots, counters = self._parts, self._slots, self._parts.counters
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
            score=counters.scores.model.as_dict(),
            ceiling=counters.scores.ceiling.as_dict(),
            reads=dict(counters.scores.reads),
            off_by=dict(counters.scores.off_by),
            baseline_s=parts.results.baseline_s,
            scoring_s=parts.results.scoring_s + counters.tally_s,
            held_back_s=self._held_back_s,
            intent_wait_s=0.0 if parts.intents is None else parts.intents.waited_s,
            latency_ms_p50=counters.latency_ms(50),
            latency_ms_p95=counters.latency_ms(95),
            latency_ms_p99=counters.latency_ms(99),
            in_flight=0 if slots is None else slots.running,
            requests_in_flight=self._limit,
            slots=0 if slots is None else slots.limit,
            held=self._held.held,
            unsaved=parts.outbox.unsaved,
            limited=self.limited,
            refused=self.refused,
            sink_error=parts.outbox.last_error,
        )

    def _bear(self, concurrency: int | None) -> None:
        """The throttle grants no more than this: further requests would only stand in its line."""
        if concurrency != self._borne:
            self._borne = concurrency
            self._set_slots()

    def _set_slots(self) -> None:
        if self._slots is not None:
            self._slots.limit = self._limit if self._borne is None else max(1, min(self._limit, self._borne))
            self._slots.advance()

    async def _lease_reads(self) -> None:
        least = max(1, self._parts.batch_size // 2)  # not one call to the queue for every request that ends
        while True:
            await self._until(lambda: self._no_more is not None or (not self._paused and self._room() >= least))
            if self._no_more is not None:
                return
            reply = await self._parts.queue.lease(self._room())
            if reply.status == "closed":
                self._no_more = self._no_more or "closed"
            elif reply.lease is not None:
                self._take(self._held.accept(reply.lease))
                await self._hand_back()

    def _room(self) -> int:
        """What free request slots hold plus one batch; nothing while the sink falls behind."""
        if self._is_held_back():
            return 0
        return self._limit * self._parts.reads_per_request + self._parts.batch_size - self._held.held

    def _is_held_back(self) -> bool:
        """Too many results wait for the sink; the time is added up."""
        now, since = self._parts.clock.monotonic(), self._held_back_since
        if since is not None:
            self._held_back_s += now - since
        held_back = self._parts.outbox.unsaved >= self._parts.max_unsaved
        self._held_back_since = now if held_back else None
        return held_back

    def _take(self, jobs: list[Job]) -> None:
        parts, now = self._parts, self._parts.clock.now()
        if self._stopped:
            self._give_back(jobs)
            return
        to_ask: list[Job] = []
        for job in jobs:
            if not needs_analysis(job.read):
                self._finish(job, parts.results.preset(job, now))
            elif self._slots is None:
                self._finish(job, parts.results.aligned(job, now))
            else:
                to_ask.append(job)
        if self._slots is not None:
            self._slots.add(to_ask)

    async def _keep_leases(self) -> None:
        """Also while results wait for their commit: a lease that expired then would have its reads paid for again."""
        while True:
            await self._parts.clock.sleep(self._parts.lease_timeout_s / 3)
            lease_ids = self._held.lease_ids()
            if lease_ids:
                self._held.lose(await self._parts.queue.extend(lease_ids))

    def _follow(self, steps: Steps) -> None:
        """What comes after a request, read by read. Those that rest do so together: they have one delay."""
        assert self._slots is not None
        assert self._group is not None
        again: list[Job] = []
        later: list[Job] = []
        delay_s = 0.0
        for job, step in steps:
            if step.next is Next.STORE:
                assert step.result is not None
                self._finish(job, step.result)
            elif step.next is Next.DROP:
                self._held.drop(job)
            elif step.next is Next.REFUSED:
                assert step.refusal is not None
                self._give_back([job])
                self._refuse(step.refusal)
            elif self._stopped:
                self._give_back([job])
            elif step.next is Next.LATER:
                later.append(job)
                delay_s = step.delay_s
            else:
                again.append(job)
        self._slots.again(again)
        if later:
            self._slots.later(later, delay_s)
        if self._held.has_returns:
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
            self._group.create_task(self._parts.throttle.stop(refusal.message))
        self._stop(refusal.reason)

    def _stop(self, reason: str) -> None:
        if not self._stopped:
            self._no_more = reason
        self._stopped = True
        if self._slots is not None and self._parts.permits is not None:
            self._give_back(self._slots.clear())
            self._parts.permits.withdraw_all()
        self._changed.set()

    def _finish(self, job: Job, result: ReadResult) -> None:
        self._parts.counters.finished(result)
        self._held.finish(job)
        self._parts.outbox.add(result)

    def _committed(self, read_indices: list[int]) -> None:
        self._held.commit(read_indices)
        self._changed.set()

    def _give_back(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._held.give_back(job)
        self._returned += len(jobs)

    async def _hand_back(self) -> None:
        for lease_id, fence, read_indices in self._held.take_returns():
            await self._parts.queue.nack(lease_id, fence, read_indices)

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._changed.clear()
            await self._changed.wait()


async def _within(clock: Clock, seconds: float, wait: Awaitable[None]) -> bool:
    """Whether ``wait`` ended within this time; it is cancelled when it did not."""
    waiting, timer = asyncio.ensure_future(wait), asyncio.ensure_future(clock.sleep(seconds))
    done, late = await asyncio.wait((waiting, timer), return_when=asyncio.FIRST_COMPLETED)
    for task in late:
        task.cancel()
    await asyncio.wait((waiting, timer))
    if waiting in done:
        waiting.result()
    return waiting in done
