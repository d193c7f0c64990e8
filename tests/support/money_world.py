"""A run as its money sees it: a throttle, a ledger and a provider that bills, with deaths at the worst moments.

Nobody in here is a process: time is a number, messages are events, and whatever a dead part had not handed over is lost.
The order is the pipeline's: authorised, granted, on record, sent, billed, settled, put on record.
"""

import heapq
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from uuid import UUID

from helix_ray.config import ThrottleConfig
from helix_ray.records import ApiCall, CallState, Intent, TokenUsage
from helix_ray.storage.ledger import RunRow
from helix_ray.throttle.governor import PERMIT_GRACE_S, Governor
from helix_ray.throttle.messages import Permit, PermitRequest, Settlement, SettlementOutcome
from support.memory_ledger import MemoryLedger

DEADLINE_S = 20.0
RUN_ID = str(UUID(int=5))
LARGEST = Decimal("0.001")
"""The worst case of the dearest request."""

Event = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Deaths:
    """How often each dies, per second."""

    throttle: float = 0.0
    analyzer: float = 0.0
    run: float = 0.0  # everybody at once; the run is resumed


@dataclass(slots=True)
class Bill:
    provider_usd: Decimal = Decimal(0)
    ledger_usd: Decimal = Decimal(0)  # after the end: the report's cost
    highest_usd: Decimal = Decimal(0)  # of what was billed plus the worst cases in flight
    unrecorded_usd: Decimal = Decimal(0)  # of answers whose end died on its way to the ledger: their worst cases beyond their cost
    requests: int = 0
    throttle_deaths: int = 0
    analyzer_deaths: int = 0
    resumes: int = 0


@dataclass(slots=True, eq=False)
class _Analyzer:
    name: str
    life: int = 0
    wants: dict[str, PermitRequest] = field(default_factory=dict)
    in_flight: int = 0


class MoneyWorld:
    """``in_flight`` requests of all analyzers together; ``cap`` in US dollars."""

    def __init__(self, seed: int, cap: Decimal, deaths: Deaths = Deaths(), in_flight: int = 64, analyzers: int = 4) -> None:
        self._random = random.Random(seed)
        self._cap = cap
        self._deaths = deaths
        self._each = in_flight // analyzers
        self._analyzers = [_Analyzer(f"a{number}") for number in range(analyzers)]
        self._ledger = MemoryLedger()
        self._events: list[tuple[float, int, Event]] = []
        self._number = 0
        self._now = 0.0
        self._session = 0
        self._incarnation = ""
        self._exact_at: float | None = None
        self._asking: str | None = None  # the incarnation that has a question outstanding
        self._exposed = Decimal(0)
        self._ended = False
        self._config = ThrottleConfig(tokens_per_minute=50_000_000, max_cost_usd=float(cap), adaptive_concurrency=False)
        self._governor = Governor(self._config, DEADLINE_S, "none")
        self.bill = Bill()

    async def run(self) -> Bill:
        """Until the budget ends it. AssertionError as soon as the cap could be passed."""
        await self._ledger.start_run(RunRow(RUN_ID, "n", "{}", "h", 1, {}, None, datetime.now(UTC), "groq", False))
        await self._begin_session()
        while not self._ended:
            await self._step(0.02)
        while self._events:
            await self._next_event()
        self.bill.ledger_usd = await self._ledger.close_open_calls(RUN_ID)
        return self.bill

    # ── the driver ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _begin_session(self) -> None:
        self._session += 1
        self._exact_at = None
        self._new_throttle()
        self._governor.restore(await self._ledger.close_open_calls(RUN_ID), (), self._now)

    def _new_throttle(self) -> None:
        self._number += 1
        self._incarnation = f"e{self._number}"
        self._governor = Governor(self._config, DEADLINE_S, self._incarnation)
        self._governor.authorise(Decimal(0))

    async def _step(self, seconds: float) -> None:
        until = self._now + seconds
        while self._events and self._events[0][0] <= until:
            await self._next_event()
        self._now = until
        for analyzer in self._analyzers:
            self._ask(analyzer)
        await self._decide()
        if self._exact_at is not None and self._now >= self._exact_at:
            self._exact_at = None
            self._governor.restore(await self._ledger.spent_usd(RUN_ID, self._incarnation))
        await self._kill(seconds)

    async def _kill(self, seconds: float) -> None:
        if self._random.random() < self._deaths.throttle * seconds:
            self.bill.throttle_deaths += 1
            self._new_throttle()
            most = max(await self._ledger.reserved_usd(RUN_ID), await self._ledger.spent_usd(RUN_ID))
            self._governor.restore(most, (), self._now, provisional=True)
            self._exact_at = self._now + DEADLINE_S + PERMIT_GRACE_S + 5.0
        if self._random.random() < self._deaths.analyzer * seconds:
            self.bill.analyzer_deaths += 1
            analyzer = self._random.choice(self._analyzers)
            self._bury(analyzer)
            self._governor.release(analyzer.name, self._now)
        if self._random.random() < self._deaths.run * seconds:
            self.bill.resumes += 1
            for analyzer in self._analyzers:
                self._bury(analyzer)
            self._now += 2.0
            await self._begin_session()

    @staticmethod
    def _bury(analyzer: _Analyzer) -> None:
        analyzer.life, analyzer.in_flight, analyzer.wants = analyzer.life + 1, 0, {}

    # ── the throttle's shell ─────────────────────────────────────────────────────────────────────────────────────────

    async def _decide(self) -> None:
        self._governor.advance(self._now)
        for analyzer in self._analyzers:
            reply = self._governor.collect(list(analyzer.wants), self._now)
            for grant in reply.grants:
                want = analyzer.wants.pop(grant.want_id)
                self._after(0.05, self._alive(analyzer, partial(self._intend, analyzer, want, grant, self._now)))
            if reply.refusal is not None:
                assert reply.refusal.reason == "budget"
                self._ended = True
        total = self._governor.to_authorise()
        if total is not None and self._asking != self._incarnation:
            self._asking = self._incarnation
            self._after(0.1, partial(self._authorise, self._incarnation, total))

    async def _authorise(self, incarnation: str, total: Decimal) -> None:
        committed = await self._ledger.authorise(RUN_ID, total)

        async def heard() -> None:
            if self._incarnation == incarnation:
                self._asking = None
                self._governor.authorise(committed)

        self._after(0.05, heard)

    # ── the analyzers ────────────────────────────────────────────────────────────────────────────────────────────────

    def _ask(self, analyzer: _Analyzer) -> None:
        while not self._ended and analyzer.in_flight < self._each:
            analyzer.in_flight += 1
            self._number += 1
            worst = LARGEST * self._random.randint(300, 1000) / 1000
            analyzer.wants[str(UUID(int=self._number))] = PermitRequest(str(UUID(int=self._number)), 10, 10, worst)
        self._governor.ask(analyzer.name, list(analyzer.wants.values()), self._now)

    async def _intend(self, analyzer: _Analyzer, want: PermitRequest, grant: Permit, granted_at: float) -> None:
        if self._now - granted_at + DEADLINE_S > grant.expires_in_s:
            self._settle(analyzer, grant, "not_sent", Decimal(0))
            return
        call = ApiCall(
            want.want_id,
            "analysis",
            1,
            [0],
            CallState.INTENDED,
            None,
            "m",
            worst_case_usd=want.worst_case_usd,
            throttle_epoch=grant.permit_id.rpartition("-")[0],
        )
        await self._ledger.intend(RUN_ID, [Intent(call)])
        self._after(0.02, self._alive(analyzer, lambda: self._send(analyzer, want, grant, call)))

    async def _send(self, analyzer: _Analyzer, want: PermitRequest, grant: Permit, call: ApiCall) -> None:
        self.bill.requests += 1
        chance = self._random.random()
        cost = Decimal(0) if chance < 0.05 else want.worst_case_usd * self._random.randint(1, 1000) / 1000
        self.bill.provider_usd += cost  # at once: the answer may be lost
        self._expose(want.worst_case_usd)

        async def answer() -> None:
            self._expose(cost - want.worst_case_usd)

        async def hear() -> None:
            known = chance < 0.97
            state = CallState.FAILED if chance < 0.05 else CallState.ANSWERED if known else CallState.POSSIBLY_BILLED
            end = ApiCall(
                **{name: getattr(call, name) for name in ("call_id", "kind", "attempt", "read_indices", "model", "throttle_epoch")},
                state=state,
                status=500 if chance < 0.05 else 200 if known else None,
                worst_case_usd=want.worst_case_usd,
                cost_usd=cost if known else want.worst_case_usd,
                finished_at=datetime.now(UTC),
            )
            outcome: SettlementOutcome = "rejected" if chance < 0.05 else "answered" if known else "unknown"
            self._settle(analyzer, grant, outcome, cost)
            self.bill.unrecorded_usd += call.worst_case_usd - end.cost_usd
            self._after(0.5, self._alive(analyzer, lambda: self._record(end)))

        wait_s = self._random.uniform(0.2, DEADLINE_S if chance > 0.9 else 3.0)
        self._at(self._now + wait_s, answer)
        self._at(self._now + wait_s, self._alive(analyzer, hear))

    async def _record(self, end: ApiCall) -> None:
        await self._ledger.write_batch(RUN_ID, [], [end])
        self.bill.unrecorded_usd -= end.worst_case_usd - end.cost_usd

    def _settle(self, analyzer: _Analyzer, grant: Permit, outcome: SettlementOutcome, cost: Decimal) -> None:
        analyzer.in_flight -= 1
        usage = TokenUsage(10, 0, 10) if outcome == "answered" else None

        async def tell() -> None:
            self._governor.settle(Settlement(grant.permit_id, outcome, usage, cost if usage else None), self._now)

        self._after(0.1, tell)

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _alive(self, analyzer: _Analyzer, event: Event) -> Event:
        """``event``, unless the analyzer or its session died by then."""
        life = analyzer.life

        async def happen() -> None:
            if analyzer.life == life:
                await event()

        return happen

    def _after(self, at_most_s: float, event: Event) -> None:
        self._at(self._now + self._random.uniform(0.0, at_most_s), event)

    def _at(self, when: float, event: Event) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, event))

    async def _next_event(self) -> None:
        when, _, event = heapq.heappop(self._events)
        self._now = max(self._now, when)
        await event()

    def _expose(self, usd: Decimal) -> None:
        self._exposed += usd
        self.bill.highest_usd = max(self.bill.highest_usd, self._exposed)
        assert self._exposed <= self._cap, f"${self._exposed} billed or in flight, and the cap is ${self._cap}"
