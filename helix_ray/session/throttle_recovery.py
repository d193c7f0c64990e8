"""What a throttle is told before it grants: the money that is gone and what was taken from the limits, both from the ledger.

A throttle that comes back during a session does not know what its predecessor granted. All that was authorised counts as
spent until every permit of the predecessor has ended or expired; from then on the ledger knows each of its requests, since
none is sent before it is on record.
"""

from __future__ import annotations

import time
from decimal import Decimal

from helix_ray.actors.api import THROTTLE, ThrottleApi
from helix_ray.actors.group import ActorGroup, CallFailure
from helix_ray.config import Backend
from helix_ray.records import PastUse
from helix_ray.session.plan import Plan
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.postgres import PostgresLedger
from helix_ray.throttle.governor import PERMIT_GRACE_S

MARGIN_S = 5.0
"""Beyond the lifetime of a permit, for the last of its requests to be on record."""

LOOK_AGAIN_S = 30.0
"""The ends of a predecessor's last requests may reach the ledger late, when the database was away."""


class Restoring:
    """Asks the ledger; every method raises what the database raises, and may be called again."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._began = time.monotonic()
        self._opened = False  # the books of what ended before this session are closed
        self._epoch = ""  # of the throttle that was told last
        self._exact_at: float | None = None
        self._last: Decimal | None = None

    def begin(self, group: ActorGroup) -> bool:
        """Tells a throttle that knows nothing; whether it heard."""
        run_id = self._plan.run_id
        if not self._opened:
            spent = with_ledger(self._plan.database_url, lambda ledger: ledger.close_open_calls(run_id))
            past = self._past()
            self._opened = True  # also when no answer comes: the throttle may have heard all the same, and grant from now on
            return self._tell(group, spent, past)

        async def most(ledger: PostgresLedger) -> Decimal:
            return max(await ledger.reserved_usd(run_id), await ledger.spent_usd(run_id))

        spent = with_ledger(self._plan.database_url, most)
        heard = self._tell(group, spent, self._past(), provisional=True)
        if heard:
            self._exact_at, self._last = time.monotonic() + self._lifetime_s(), None
        return heard

    def correct(self, group: ActorGroup) -> None:
        """Once no permit of a predecessor can be alive: the money by the ledger, until that does not change any more."""
        now = time.monotonic()
        if self._exact_at is None or now < self._exact_at:
            return
        self._exact_at = now + LOOK_AGAIN_S
        epoch = self._epoch
        spent = with_ledger(self._plan.database_url, lambda ledger: ledger.spent_usd(self._plan.run_id, epoch))
        if self._tell(group, spent, [], only=epoch) and (self._epoch != epoch or spent == self._last):
            self._exact_at = None  # a throttle that started meanwhile is told by `begin`
        self._last = spent

    def _lifetime_s(self) -> float:
        return self._plan.config.analyzer.request_timeout_s + PERMIT_GRACE_S + MARGIN_S

    def _tell(self, group: ActorGroup, spent: Decimal, past: list[PastUse], *, provisional: bool = False, only: str = "") -> bool:
        epoch = group.ask(THROTTLE, ThrottleApi.restore, spent, past, provisional, only)
        if isinstance(epoch, CallFailure):
            return False
        self._epoch = epoch
        return True

    def _past(self) -> list[PastUse]:
        """By this model's requests, in any run. An emulator of our own is as old as this session and knows no others."""
        backend, model = self._plan.config.analyzer.backend, self._plan.config.analyzer.model
        if backend is Backend.ALIGNER or (backend is Backend.EMULATOR and not self._opened):
            return []
        taken = with_ledger(self._plan.database_url, lambda ledger: ledger.taken(model, self._plan.simulated))
        if backend is Backend.EMULATOR:
            taken = [item for item in taken if item.age_s <= time.monotonic() - self._began]
        return taken
