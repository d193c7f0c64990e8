"""The hard dollar cap."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

_REQUESTS_AHEAD = 32
_SHARE_AHEAD = Decimal("0.02")  # of the cap


class Room(Enum):
    YES = "yes"
    WAIT = "wait"  # requests in flight may cost less than their worst case
    NEVER = "never"


class Budget:
    """``spent + reserved <= max_cost_usd`` holds after every grant, because a grant reserves the most its request can cost.

    A cap lowered below that stops new grants and takes nothing back. All amounts are US dollars.

    Where ``authorised`` is a number, ``spent + reserved`` stays below that too: it is the total that the ledger has on record
    as ours to spend, so that a throttle that comes back empty knows how much may be gone. It only grows.
    """

    def __init__(self, max_cost_usd: Decimal) -> None:
        self.max_cost_usd = max_cost_usd
        self.reserved = Decimal(0)
        self.authorised: Decimal | None = None  # None: nobody is to be asked
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
        total = self.spent + self.reserved + worst_case_usd
        if total <= self.max_cost_usd:
            return Room.YES if self.authorised is None or total <= self.authorised else Room.WAIT
        return Room.WAIT if self.reserved > 0 else Room.NEVER

    def authorise(self, total_usd: Decimal) -> None:
        self.authorised = total_usd if self.authorised is None else max(self.authorised, total_usd)

    def shortfall(self, worst_case_usd: Decimal) -> Decimal | None:
        """The total to be authorised next; None while there is enough ahead. ``worst_case_usd``: of a usual request."""
        if self.authorised is None:
            return None
        ahead = max(_REQUESTS_AHEAD * worst_case_usd, _SHARE_AHEAD * self.max_cost_usd)
        taken = self.spent + self.reserved
        wanted = min(self.max_cost_usd, taken + ahead)
        return wanted if self.authorised < min(wanted, taken + ahead / 2) else None

    def reserve(self, worst_case_usd: Decimal) -> None:
        self.reserved += worst_case_usd

    def settle(self, worst_case_usd: Decimal, cost_usd: Decimal) -> None:
        self.reserved -= worst_case_usd
        self._own += cost_usd

    def correct(self, booked_usd: Decimal, cost_usd: Decimal) -> None:
        """``booked_usd`` had been counted as spent; the truth came late."""
        self._own += cost_usd - booked_usd
