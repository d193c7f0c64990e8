"""What a throttle must know before it grants: the money that is gone and what was taken from the limits, both from the ledger.

A throttle that comes back during a session does not know what its predecessor granted. All that was authorised counts as
spent until every permit of the predecessor has ended or expired; from then on the ledger knows each of its requests, since
none is sent before it is on record. `supervision.recovery` says when each of the two is due.
"""

from __future__ import annotations

import time
from decimal import Decimal

from helix_ray.actors.api import THROTTLE, ThrottleApi
from helix_ray.actors.group import ActorGroup, CallFailure
from helix_ray.environment.logs import Event, event_logger
from helix_ray.records import PastUse
from helix_ray.session.plan import Plan
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.postgres import PostgresLedger
from helix_ray.throttle.governor import PERMIT_GRACE_S
from helix_ray.throttle.messages import ThrottleStats

log = event_logger(__name__)

MARGIN_S = 5.0
"""Beyond the lifetime of a permit, for the last of its requests to be on record."""


def permit_lifetime_s(plan: Plan) -> float:
    """From the last grant of a throttle until none of its permits can be alive and each of its requests is on record."""
    return plan.config.analyzer.request_timeout_s + PERMIT_GRACE_S + MARGIN_S


class ThrottleRecovery:
    """Every method raises what the database raises, and may be called again."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._began = time.monotonic()
        self._limits: dict[str, float] = {}  # that the throttle has found
        self._closed = False  # the requests that earlier sessions left open are closed

    def restore(self, group: ActorGroup, max_cost_usd: float | None = None) -> tuple[str | None, bool]:
        """The incarnation that answered, None: none did; and whether it got the most that can be spent instead of the exact sum.

        ``max_cost_usd``: the cost cap that a command set, US dollars; None: the configured one.
        """
        run_id, provisional = self._plan.run_id, self._closed
        if max_cost_usd is not None:
            group.ask(THROTTLE, ThrottleApi.set_budget, Decimal(str(max_cost_usd)))

        async def spent(ledger: PostgresLedger) -> Decimal:
            if provisional:
                return max(await ledger.reserved_usd(run_id), await ledger.spent_usd(run_id))
            return await ledger.close_open_calls(run_id)

        spent_usd, past = with_ledger(self._plan.database_url, spent), self._past()
        self._closed = True  # also without an answer: the throttle may have got it, and grant from now on
        return self._send(group, spent_usd, past, provisional=provisional), provisional

    def correct(self, group: ActorGroup, incarnation: str) -> tuple[Decimal, str | None]:
        """Tells this incarnation what its predecessors spent; the sum, US dollars, and the incarnation that answered."""
        run_id = self._plan.run_id
        spent_usd = with_ledger(self._plan.database_url, lambda ledger: ledger.spent_usd(run_id, incarnation))
        return spent_usd, self._send(group, spent_usd, [], only=incarnation)

    def note(self, stats: ThrottleStats) -> None:
        """What a successor is to know of the provider's limits, instead of finding them again."""
        self._limits |= {name: bucket.limit for name, bucket in stats.buckets.items() if bucket.source == "discovered"}

    def _send(self, group: ActorGroup, spent_usd: Decimal, past: list[PastUse], *, provisional: bool = False, only: str = "") -> str | None:
        answer = group.ask(THROTTLE, ThrottleApi.restore, spent_usd, past, provisional, only, self._limits)
        if isinstance(answer, CallFailure):
            log.warning(Event.ERROR_HANDLED, what="the throttle could not be restored yet", exc_info=answer.error)
            return None
        log.info(Event.THROTTLE_RESTORED, informed=answer, spent_usd=spent_usd, provisional=provisional, past_uses=len(past))
        return answer

    def _past(self) -> list[PastUse]:
        """By this model's requests, in any run. An emulator of our own is as old as this session and knows no others."""
        backend, model, provider = self._plan.config.analyzer.backend, self._plan.config.analyzer.model, self._plan.config.provider_name
        if not backend.asks_an_api or (backend.simulated and not self._closed):
            return []
        taken = with_ledger(self._plan.database_url, lambda ledger: ledger.taken(model, provider, self._plan.simulated))
        if backend.simulated:
            taken = [item for item in taken if item.age_s <= time.monotonic() - self._began]
        return taken
