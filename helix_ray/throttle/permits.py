"""Permits that are granted and not yet settled."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf

from helix_ray.records import ServiceTier
from helix_ray.throttle.bucket import Reservation
from helix_ray.throttle.messages import Permit, PermitRequest

_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class OutstandingPermit:
    permit_id: str
    number: int
    holder: str
    request: PermitRequest
    granted_at: float
    expires_at: float
    service_tier: ServiceTier = "on_demand"
    reservations: dict[str, Reservation] = field(default_factory=dict)  # by bucket

    def lease(self, now: float) -> Permit:
        return Permit(self.request.want_id, self.permit_id, max(0.0, self.expires_at - now), self.service_tier)


class OutstandingPermits:
    """In the order of granting, which is the order of expiry: every permit has the same lifetime."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, OutstandingPermit] = OrderedDict()
        self._by_want: dict[str, OutstandingPermit] = {}
        self._written_off: OrderedDict[str, Decimal] = OrderedDict()
        self._ahead: dict[str, float] = {}  # leased ahead and not known to be in use, by id of the request: named last at, monotonic

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, permit: OutstandingPermit) -> None:
        self._by_id[permit.permit_id] = permit
        self._by_want[permit.request.want_id] = permit

    def of_want(self, want_id: str) -> OutstandingPermit | None:
        return self._by_want.get(want_id)

    def take(self, permit_id: str) -> OutstandingPermit | None:
        permit = self._by_id.pop(permit_id, None)
        if permit is not None:
            self._by_want.pop(permit.request.want_id, None)
            self._ahead.pop(permit.request.want_id, None)
        return permit

    def name_ahead(self, want_id: str, now: float) -> None:
        """The permit is held ahead of its use. ``now`` -inf: its holder died, and may have used it."""
        self._ahead[want_id] = now

    def ahead(self, named_until: float = inf) -> list[OutstandingPermit]:
        """Those that are not known to be in use, and were named then or earlier."""
        return [self._by_want[want_id] for want_id, named_at in self._ahead.items() if named_at <= named_until]

    def ahead_of(self, holder: str) -> list[OutstandingPermit]:
        """Those that a live holder may have."""
        return [permit for permit in self.ahead() if permit.holder == holder and self._ahead[permit.request.want_id] > -inf]

    def use(self, permit: OutstandingPermit) -> None:
        self._ahead.pop(permit.request.want_id, None)

    def of_holder(self, holder: str) -> list[OutstandingPermit]:
        return [permit for permit in self._by_id.values() if permit.holder == holder]

    def expired(self, now: float) -> list[OutstandingPermit]:
        found = []
        for permit in self._by_id.values():
            if permit.expires_at > now:
                break
            found.append(permit)
        return found

    def write_off(self, permit: OutstandingPermit) -> None:
        """Remember that the permit was counted at its worst case, should its settlement come late."""
        self._written_off[permit.permit_id] = permit.request.worst_case_usd
        while len(self._written_off) > _REMEMBERED:
            self._written_off.popitem(last=False)

    def take_written_off(self, permit_id: str) -> Decimal | None:
        return self._written_off.pop(permit_id, None)
