"""Permits given and not yet settled."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from decimal import Decimal

from helix_ray.records import ServiceTier
from helix_ray.throttle.bucket import Mark
from helix_ray.throttle.messages import Grant, Want

_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Permit:
    permit_id: str
    number: int
    holder: str
    want: Want
    granted_at: float
    expires_at: float
    service_tier: ServiceTier = "on_demand"
    marks: dict[str, Mark] = field(default_factory=dict)  # by bucket

    def grant(self, now: float) -> Grant:
        return Grant(self.want.want_id, self.permit_id, max(0.0, self.expires_at - now), self.service_tier)


class Permits:
    """Every permit has the same lifetime, so the order of granting is the order of expiry."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, Permit] = OrderedDict()
        self._by_want: dict[str, Permit] = {}
        self._written_off: OrderedDict[str, Decimal] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, permit: Permit) -> None:
        self._by_id[permit.permit_id] = permit
        self._by_want[permit.want.want_id] = permit

    def of_want(self, want_id: str) -> Permit | None:
        return self._by_want.get(want_id)

    def take(self, permit_id: str) -> Permit | None:
        permit = self._by_id.pop(permit_id, None)
        if permit is not None:
            self._by_want.pop(permit.want.want_id, None)
        return permit

    def of_holder(self, holder: str) -> list[Permit]:
        return [permit for permit in self._by_id.values() if permit.holder == holder]

    def expired(self, now: float) -> list[Permit]:
        found = []
        for permit in self._by_id.values():
            if permit.expires_at > now:
                break
            found.append(permit)
        return found

    def write_off(self, permit: Permit) -> None:
        """Remember that it was counted at its worst case, should its settlement come late."""
        self._written_off[permit.permit_id] = permit.want.worst_case_usd
        while len(self._written_off) > _REMEMBERED:
            self._written_off.popitem(last=False)

    def take_written_off(self, permit_id: str) -> Decimal | None:
        return self._written_off.pop(permit_id, None)
