"""The hard dollar cap.

    spent ─ restored (earlier parts of the run, by the ledger) + own (settled here)
    spent + reserved ≤ min(max_cost_usd, authorised)      after every grant, since a grant reserves the most it can cost

``authorised`` is what is committed to ``runs.reserved_usd``: a throttle that dies takes the knowledge of its grants along, and
its successor counts all of that as spent until the ledger knows better. It is asked for in chunks and ahead of need, so that
grants do not wait for the database.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

CHUNK_REQUESTS = 32
"""Worst cases in one authorisation, at least: so many requests are granted between two commits."""
CHUNK_SHARE = Decimal("0.02")
"""Of the cap in one authorisation, at least: at most fifty commits a run."""

_RETRY_MEMORY = 1000  # requests whose unused share may be saved up
_IDLE_S = 0.5


class Room(Enum):
    YES = "yes"
    WAIT = "wait"  # requests in flight may cost less than their worst case; or more must be authorised first
    NEVER = "never"


class Budget:
    """All amounts are US dollars. A cap lowered below what is spent or reserved stops new grants and takes nothing back."""

    def __init__(self, max_cost_usd: Decimal) -> None:
        self.max_cost_usd = max_cost_usd
        self.reserved = Decimal(0)
        self.authorised: Decimal | None = None  # None: nobody needs to be asked
        self.provisional = False  # what was restored is more than was spent, most likely, and will be put right
        self._own = Decimal(0)
        self._restored = Decimal(0)

    @property
    def spent(self) -> Decimal:
        """Money that is gone, earlier parts of the run included."""
        return self._restored + self._own

    def restore(self, spent_usd: Decimal, *, provisional: bool = False) -> None:
        """What was spent on permits that this throttle did not give. Saying it twice changes nothing, the last word counts.

        ``provisional``: it counts permits of a dead throttle that may still come to nothing, so the cap is not called reached.
        """
        self._restored, self.provisional = spent_usd, provisional

    def authorise(self, total_usd: Decimal) -> None:
        """``spent + reserved`` may rise to this. From the first call on, 0 included, it may not rise above what was said last."""
        self.authorised = max(self.authorised or Decimal(0), total_usd)

    def shortfall(self, worst_case_usd: Decimal) -> Decimal | None:
        """The total to authorise next, when half a chunk or less is left for requests of this size; None: there is enough.

        Never above the cap.
        """
        if self.authorised is None or self.authorised >= self.max_cost_usd:
            return None
        chunk = max(CHUNK_REQUESTS * worst_case_usd, CHUNK_SHARE * self.max_cost_usd)
        used = self.spent + self.reserved
        if self.authorised - used > chunk / 2:
            return None
        total = min(self.max_cost_usd, used + chunk)
        return total if total > self.authorised else None

    def room(self, worst_case_usd: Decimal) -> Room:
        """NEVER only when nothing is reserved: until then a correction may still come."""
        total = self.spent + self.reserved + worst_case_usd
        if total > self.max_cost_usd:
            return Room.WAIT if self.reserved > 0 or self.provisional else Room.NEVER
        return Room.YES if self.authorised is None or total <= self.authorised else Room.WAIT

    def reserve(self, worst_case_usd: Decimal) -> None:
        self.reserved += worst_case_usd

    def settle(self, worst_case_usd: Decimal, cost_usd: Decimal) -> None:
        self.reserved -= worst_case_usd
        self._own += cost_usd

    def correct(self, booked_usd: Decimal, cost_usd: Decimal) -> None:
        """``booked_usd`` had been counted as spent; the truth came late."""
        self._own += cost_usd - booked_usd


class RetryBudget:
    """Retries are at most ``least`` + ``share`` of all requests sent, counted from any moment at which the account was empty.

    Every request sent pays ``share`` into an account that begins with ``least`` and holds at most what 1,000 requests pay in;
    a retry takes 1 out. When nothing at all was sent for half a second, one retry goes without: at the end of a run nothing
    but retries may be left, and two a second feed no overload.
    """

    def __init__(self, share: float, least: float = 10) -> None:
        """``share``: 0 to 1, 1 being no bound at all."""
        self._share = share
        self._most = max(least, share * _RETRY_MEMORY)
        self._account = float(least)
        self._last_sent = float("-inf")

    def sent(self, retry: bool, now: float) -> None:
        """A request was granted, at ``now`` in monotonic seconds."""
        self._last_sent = now
        self._account = min(self._most, self._account + self._share)
        if retry:
            self._account = max(0.0, self._account - 1.0)

    def room(self, now: float) -> bool:
        """Whether a retry may be sent."""
        return self.wait_s(now) == 0.0

    def wait_s(self, now: float) -> float:
        """Until a retry may be sent if nothing else is sent before; 0: now."""
        if self._account + self._share >= 1.0 - 1e-9:
            return 0.0
        return max(0.0, self._last_sent + _IDLE_S - now)
