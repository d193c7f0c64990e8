"""Mistakes to plant, one at a time, each of which the judge must see in some run."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from helix_ray.analyzer.read_request import RequestLog, RequestMaker
from helix_ray.analyzer.request_cycle import RequestCycle
from helix_ray.analyzer.sink_client import RequestRecords
from helix_ray.queueing.bounded_queue import BoundedQueue
from helix_ray.queueing.leases import LeaseBook
from helix_ray.sink import engine as sink_engine
from helix_ray.sink.engine import SinkEngine
from helix_ray.sink.outages import Outages
from helix_ray.storage import spool
from helix_ray.storage.spool import Spool
from helix_ray.supervision.recovery import Need, Recovery
from helix_ray.throttle.budget import Budget
from helix_ray.throttle.governor import Governor
from helix_ray.throttle.limit_set import Wait
from helix_ray.throttle.service_tier import TierLimiter
from simulation import machine
from simulation.plans import Plan
from support import memory_ledger
from support.memory_ledger import MemoryLedger

Patch = tuple[Any, str, Any]
BUGS: dict[str, Callable[[], list[Patch]]] = {}
SHAPE: dict[str, Any] = {"reads": 16, "capacity": 5, "fire_s": 5.0}
HARSH = Plan(**SHAPE, kills=6, outages=1, driver_deaths=1, unanswered=0.03, doubled=0.1, lost_commits=0.1, losing=0.05, poor=0.4)
POOR = Plan(**SHAPE, max_cost_usd=0.001, wordy=True, in_flight=6, reads_per_request=1, losing=0.3, kills=6)
BOUND = Plan(**SHAPE, rpm=15, reads_per_request=1, kills=4)
CLOSED = Plan(**{**SHAPE, "reads": 40}, closings=1, calm=True)
ACKS = Plan(**SHAPE, kills=8, victims=("helix-sink", "analyzer"), outages=1, slow=0.1)
PLANS = {
    "nothing_reserved": POOR,
    "unknown_outcomes_cost_nothing": POOR,
    "spent_money_forgotten_at_a_restart": POOR,
    "limits_not_awaited": BOUND,
    "past_use_forgotten": BOUND,
    "retry_after_ignored": CLOSED,
    "ack_before_commit": ACKS,
}
"""Where a bug shows soonest; HARSH for the others."""


def bug(plant: Callable[[], list[Patch]]) -> Callable[[], list[Patch]]:
    BUGS[plant.__name__] = plant
    return plant


def planted(name: str) -> AbstractContextManager[None]:
    return machine.patched(BUGS[name]())


def changed(target: Any, name: str, change: Callable[..., Any]) -> Patch:
    """``change`` gets the method that it replaces, then its arguments."""
    real = getattr(target, name)
    return target, name, lambda *args, **kwargs: change(real, *args, **kwargs)


def without(**fields: Any) -> Callable[..., Any]:
    """The facts of the send check without some of them."""
    return lambda real, reads, unusable, facts: real(reads, unusable, facts._replace(**fields))


# ── queue and producers ──────────────────────────────────────────────────────────────────────────────────────────────────


@bug
def capacity_ignored() -> list[Patch]:
    return [changed(BoundedQueue, "__init__", lambda real, self, capacity, *rest: real(self, capacity + 3, *rest))]


@bug
def rest_of_a_batch_dropped() -> list[Patch]:
    return [changed(BoundedQueue, "offer", lambda real, self, *args: (real(self, *args)[0], []))]


@bug
def lease_off_by_one() -> list[Patch]:
    return [changed(LeaseBook, "grant", lambda real, self, holder, entries, now: real(self, holder, entries[1:] or entries, now))]


@bug
def done_reads_not_told() -> list[Patch]:
    return [changed(BoundedQueue, "open", lambda real, self, done, producers: real(self, type(done)(), producers))]


@bug
def ack_dropped() -> list[Patch]:
    async def write_acks(self: SinkEngine, groups: list[list[int]]) -> None:
        self._unacked -= sum(map(len, groups))
        self._check_settled()

    return [(SinkEngine, "_write_acks", write_acks)]


@bug
def ack_before_commit() -> list[Patch]:
    async def write(real: Any, self: SinkEngine, results: Any, calls: Any) -> Any:
        self._unacked += len(results)
        self._acks.add([result.read.read_index for result in results])
        return await real(self, results, calls)

    return [changed(SinkEngine, "write", write)]


@bug
def double_commit() -> list[Patch]:
    async def write_batch(real: Any, self: MemoryLedger, run_id: str, results: Any, calls: Any) -> Any:
        for result in results:
            self._runs[run_id].reads.pop(result.read.read_index, None)
        return await real(self, run_id, results, calls)

    return [changed(MemoryLedger, "write_batch", write_batch)]


@bug
def outage_is_the_end() -> list[Patch]:
    async def through(self: Outages, ask: Any) -> Any:
        return await ask(), 1

    return [(Outages, "through", through)]


@bug
def rows_not_checked() -> list[Patch]:
    return [changed(memory_ledger, "keep_back", without(done=()))]


@bug
def receipts_not_checked() -> list[Patch]:
    return [changed(memory_ledger, "keep_back", without(answers={}))]


@bug
def receipts_deleted_with_the_first_row() -> list[Patch]:
    def drop(run: Any) -> None:
        for name in [name for name, receipt in run.receipts.items() if any(index in run.reads for index in receipt.read_indices)]:
            del run.receipts[name]

    return [(memory_ledger, "_drop_receipts", drop)]


@bug
def no_driver_watch() -> list[Patch]:
    return [(machine.Watch, "alive", True)]


@bug
def spool_not_replayed() -> list[Patch]:
    return [(sink_engine, "orphans", lambda folder: [])]


@bug
def spool_discarded_before_its_commit() -> list[Patch]:
    def orphans(real: Any, folder: Any) -> list[Any]:
        found = real(folder)
        spool.discard(found)
        return found

    return [(sink_engine, "orphans", lambda folder, real=sink_engine.orphans: orphans(real, folder))]


# ── analyzer ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@bug
def receipt_not_spooled() -> list[Patch]:
    return [(Spool, "keep", lambda self, receipt: None)]


@bug
def spool_record_cut() -> list[Patch]:
    return [(spool, "encoded", lambda receipt, real=spool.encoded: real(receipt)[:-1])]


@bug
def receipt_not_handed_over() -> list[Patch]:
    return [(RequestLog, "received", lambda self, sent, reply: None)]


@bug
def sent_before_its_record() -> list[Patch]:
    async def intend(real: Any, self: RequestRecords, intent: Any) -> None:
        self.late = asyncio.ensure_future(real(self, intent))  # type: ignore[attr-defined]

    return [changed(RequestRecords, "intend", intend)]


@bug
def refusal_ignored() -> list[Patch]:
    async def intend(real: Any, self: RequestRecords, intent: Any) -> None:
        await real(self, intent)

    return [changed(RequestRecords, "intend", intend)]


@bug
def unusable_answers_not_named() -> list[Patch]:
    async def intend(real: Any, self: RequestRecords, intent: Any) -> Any:
        return await real(self, intent._replace(unusable=()))

    return [changed(RequestRecords, "intend", intend)]


@bug
def answers_crossed() -> list[Patch]:
    def make(real: Any, self: RequestMaker, tasks: Any) -> Any:
        request = real(self, tasks)
        return request._replace(asked=[*request.asked[1:], request.asked[0]])

    return [changed(RequestMaker, "make", make)]


# ── money and limits ─────────────────────────────────────────────────────────────────────────────────────────────────────


@bug
def nothing_reserved() -> list[Patch]:
    return [
        (Budget, "reserve", lambda self, usd: None),
        (Budget, "settle", lambda self, worst, cost: setattr(self, "_own", self._own + cost)),
    ]


@bug
def unknown_outcomes_cost_nothing() -> list[Patch]:
    def settle(real: Any, self: Governor, settlement: Any, now: float) -> None:
        real(self, settlement._replace(outcome="not_sent") if settlement.outcome == "unknown" else settlement, now)

    return [changed(Governor, "settle", settle)]


@bug
def spent_money_forgotten_at_a_restart() -> list[Patch]:
    return [changed(Budget, "restore", lambda real, self, spent, **how: real(self, Decimal(0), **how))]


@bug
def lost_answers_booked_at_nothing() -> list[Patch]:
    def ended(real: Any, self: RequestLog, sent: Any, outcome: str, *args: Any, cost: Any = None, **rest: Any) -> None:
        real(self, sent, outcome, *args, cost=None if outcome == "unknown" else cost, **rest)

    return [changed(RequestLog, "_ended", ended)]


@bug
def open_requests_closed_at_nothing() -> list[Patch]:
    return [(memory_ledger, "at_most", lambda call: call.cost_usd)]


@bug
def answers_booked_by_the_worst_case() -> list[Patch]:
    return [(RequestCycle, "_cost", lambda self, usage, worst_case_usd: worst_case_usd)]


@bug
def limits_not_awaited() -> list[Patch]:
    return [(TierLimiter, "wait", lambda self, request, now: Wait(0.0, None))]


@bug
def past_use_forgotten() -> list[Patch]:
    return [changed(TierLimiter, "restore", lambda real, self, past, limits, now: real(self, (), limits, now))]


@bug
def retry_after_ignored() -> list[Patch]:
    def settle(real: Any, self: TierLimiter, permit: Any, settlement: Any, now: float) -> None:
        limited = settlement.limited and replace_wait(settlement.limited)
        real(self, permit, settlement._replace(limited=limited), now)

    return [changed(TierLimiter, "settle", settle)]


def replace_wait(limited: Any) -> Any:
    return limited._replace(retry_after_s=0.1) if hasattr(limited, "_replace") else replace(limited, retry_after_s=0.1)


# ── recovery ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@bug
def new_throttle_not_restored() -> list[Patch]:
    def due(real: Any, self: Recovery, now: float) -> list[Need]:
        again = self._informed.get(Need.RESTORE_THROTTLE) is not None  # type: ignore[call-overload]
        needs = real(self, now)
        if Need.RESTORE_THROTTLE in needs:
            self._informed[Need.RESTORE_THROTTLE] = ""  # type: ignore[index]
        return [need for need in needs if not (again and need is Need.RESTORE_THROTTLE)]

    return [changed(Recovery, "due", due)]
