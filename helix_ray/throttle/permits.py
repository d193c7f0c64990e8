"""Permits that are granted and not yet settled."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from decimal import Decimal

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
        self._ahead: dict[str, OutstandingPermit] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, permit: OutstandingPermit) -> None:
        self._by_id[permit.permit_id] = permit
        self._by_want[permit.request.want_id] = permit
        if permit.request.ahead:
            self._ahead[permit.permit_id] = permit

    def of_want(self, want_id: str) -> OutstandingPermit | None:
        return self._by_want.get(want_id)

    def take(self, permit_id: str) -> OutstandingPermit | None:
        permit = self._by_id.pop(permit_id, None)
        if permit is not None:
            self._by_want.pop(permit.request.want_id, None)
            self._ahead.pop(permit_id, None)
        return permit

    def ahead(self) -> list[OutstandingPermit]:
        """Those leased ahead whose request is not known to be on record."""
        return list(self._ahead.values())

    def confirm(self, permit: OutstandingPermit) -> None:
        """It is on record."""
        self._ahead.pop(permit.permit_id, None)

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
