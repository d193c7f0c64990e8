"""The one gate that a 429 closes for everybody."""

from __future__ import annotations

_FIRST_WAIT_S = 1.0
_LONGEST_GUESS_S = 30.0


class Gate:
    """Closed until the longest wait that any 429 asked for, whatever its size; after that one request goes first, alone.

    A 429 without a hint closes it for 1 s, doubling to 30 s as long as requests sent after a reopening meet another.
    """

    def __init__(self) -> None:
        self._until = float("-inf")
        self._closed_at = float("-inf")
        self._in_a_row = 0  # refusals without a hint
        self.cautious = False  # the next grant is a probe
        self.limit: str | None = None  # that closed it last, where the 429 named one

    def close(self, wait_s: float | None, granted_at: float, now: float, limit: str | None = None) -> None:
        """``granted_at``: when the refused request was granted; a burst of refusals is one refusal."""
        if wait_s is None or wait_s <= 0:  # "at once" is what was just tried
            if granted_at > self._closed_at or self._in_a_row == 0:
                self._in_a_row += 1
            wait_s = min(_LONGEST_GUESS_S, _FIRST_WAIT_S * 2.0 ** min(self._in_a_row - 1, 30))
        self._until = max(self._until, now + wait_s)
        self._closed_at = now
        self.cautious = True
        self.limit = limit

    def passed(self, granted_at: float) -> None:
        """A request was served."""
        if granted_at > self._closed_at:
            self._in_a_row = 0
            self.cautious = False

    def closed_for_s(self, now: float) -> float:
        return max(0.0, self._until - now)
