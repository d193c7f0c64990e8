"""The hard dollar cap."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum


class Room(Enum):
    YES = "yes"
    WAIT = "wait"  # requests in flight may cost less than their worst case
    NEVER = "never"


class Budget:
    """``spent + reserved <= max_cost_usd`` holds after every grant, because a grant reserves the most its request can cost.

    A cap lowered below that stops new grants and takes nothing back. All amounts are US dollars.
    """

    def __init__(self, max_cost_usd: Decimal) -> None:
        self.max_cost_usd = max_cost_usd
        self.reserved = Decimal(0)
        self._own = Decimal(0)
        self._restored = Decimal(0)

    @property
    def spent(self) -> Decimal:
        """Money that is gone, earlier parts of the run included."""
        return self._restored + self._own

    def restore(self, spent_usd: Decimal) -> None:
        """What the run had spent before this throttle started. Saying it twice changes nothing."""
        self._restored = spent_usd

    def room(self, worst_case_usd: Decimal) -> Room:
        """NEVER only when nothing is reserved: until then a correction may still come."""
        if self.spent + self.reserved + worst_case_usd <= self.max_cost_usd:
            return Room.YES
        return Room.WAIT if self.reserved > 0 else Room.NEVER

    def reserve(self, worst_case_usd: Decimal) -> None:
        self.reserved += worst_case_usd

    def settle(self, worst_case_usd: Decimal, cost_usd: Decimal) -> None:
        self.reserved -= worst_case_usd
        self._own += cost_usd

    def correct(self, booked_usd: Decimal, cost_usd: Decimal) -> None:
        """``booked_usd`` had been counted as spent; the truth came late."""
        self._own += cost_usd - booked_usd
