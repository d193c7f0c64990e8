"""How many of the requests sent may be retries of requests that failed, so that retries never feed an overload."""

from __future__ import annotations

_MEMORY = 1000  # requests whose unused share may be saved up
_IDLE_S = 0.5


class RetryBudget:
    """Retries are at most ``least`` + ``share`` of all requests sent, counted from any moment at which the account was empty.

    Every request sent pays ``share`` into an account that begins with ``least`` and holds at most what 1,000 requests pay in;
    a retry takes 1 out. When nothing at all was sent for half a second, one retry goes without: at the end of a run nothing
    but retries may be left, and two a second feed no overload.
    """

    def __init__(self, share: float, least: float = 10) -> None:
        """``share``: 0 to 1, 1 being no bound at all."""
        self._share = share
        self._most = max(least, share * _MEMORY)
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
