"""The hard dollar cap, and the retry budget.

    spent ─ restored (earlier parts of the run, by the ledger) + own (settled here)
    spent + reserved ≤ min(max_cost_usd, authorised)      after every grant, since a grant reserves the most it can cost

``authorised`` is what is committed to ``runs.reserved_usd``. A throttle that dies loses its grants, and its successor counts
all of that as spent until the ledger shows the real costs. It is requested in chunks and ahead of need, so that grants do not
wait for the database.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

CHUNK_REQUESTS = 32
"""Worst cases in one authorisation, at least: requests granted between two commits."""
CHUNK_SHARE = Decimal("0.02")
"""Of the cap in one authorisation, at least: at most fifty commits a run."""

_RETRY_MEMORY = 1000  # requests whose unused share may be saved up
_IDLE_S = 0.5


class Admission(Enum):
    NOW = "now"
    WAIT = "wait"  # requests in flight may cost less than their worst case; or more must be authorised first
    NEVER = "never"


class Budget:
    """All amounts are US dollars. A cap lowered below what is spent or reserved stops new grants and takes nothing back."""

    def __init__(self, max_cost_usd: Decimal) -> None:
        self.max_cost_usd = max_cost_usd
        self.reserved = Decimal(0)
        self.authorised: Decimal | None = None  # None: not needed
        self.provisional = False  # what was restored is most likely more than was spent, and will be corrected
        self._own = Decimal(0)
        self._restored = Decimal(0)

    @property
    def spent(self) -> Decimal:
        """Money that is gone, earlier parts of the run included."""
        return self._restored + self._own

    def restore(self, spent_usd: Decimal, *, provisional: bool = False) -> None:
        """Set what was spent on permits of earlier throttles. Idempotent; the last call counts.

        ``provisional``: it includes permits of a dead throttle that may still cost nothing, so the cap does not count as reached.
        """
        self._restored, self.provisional = spent_usd, provisional

    def authorise(self, total_usd: Decimal) -> None:
        """Allow ``spent + reserved`` to rise to this, 0 and up, and no further. Before the first call there is no such bound."""
        self.authorised = max(self.authorised or Decimal(0), total_usd)

    def shortfall(self, worst_case_usd: Decimal) -> Decimal | None:
        """The total to authorise next, at most the cap, when half a chunk or less is left for requests of this size; else None, as for
        requests that are free.
        """
        if self.authorised is None or self.authorised >= self.max_cost_usd or not worst_case_usd:
            return None
        chunk = max(CHUNK_REQUESTS * worst_case_usd, CHUNK_SHARE * self.max_cost_usd)
        used = self.spent + self.reserved
        if self.authorised - used > chunk / 2:
            return None
        total = min(self.max_cost_usd, used + chunk)
        return total if total > self.authorised else None

    def admission(self, worst_case_usd: Decimal) -> Admission:
        """NEVER only when nothing is reserved: until then a settlement may make room."""
        total = self.spent + self.reserved + worst_case_usd
        if total > self.max_cost_usd:
            return Admission.WAIT if self.reserved > 0 or self.provisional else Admission.NEVER
        return Admission.NOW if self.authorised is None or total <= self.authorised else Admission.WAIT

    def reserve(self, worst_case_usd: Decimal) -> None:
        self.reserved += worst_case_usd

    def settle(self, worst_case_usd: Decimal, cost_usd: Decimal) -> None:
        self.reserved -= worst_case_usd
        self._own += cost_usd

    def correct(self, booked_usd: Decimal, cost_usd: Decimal) -> None:
        """Replace ``booked_usd``, which was counted as spent, by the cost that came late."""
        self._own += cost_usd - booked_usd


class RetryBudget:
    """Bounds retries to ``least`` + ``share`` of all requests sent, so that they never feed an overload.

    Every request sent pays ``share`` into an account that begins with ``least`` and holds at most what 1,000 requests pay in;
    a retry takes 1 out. When nothing was sent for half a second, one retry is free: at the end of a run nothing but retries
    may be left, and two a second feed no overload.
    """

    def __init__(self, share: float, least: float = 10) -> None:
        """``share``: 0 to 1, 1 being no bound at all."""
        self._share = share
        self._most = max(least, share * _RETRY_MEMORY)
        self._account = float(least)
        self._last_sent = float("-inf")

    def sent(self, retry: bool, now: float) -> None:
        """Record a grant, at ``now`` in monotonic seconds."""
        self._last_sent = now
        self._account = min(self._most, self._account + self._share)
        if retry:
            self._account = max(0.0, self._account - 1.0)

    def wait_s(self, now: float) -> float:
        """Seconds until a retry may be sent if nothing else is sent before; 0: now."""
        if self._account + self._share >= 1.0 - 1e-9:
            return 0.0
        return max(0.0, self._last_sent + _IDLE_S - now)
