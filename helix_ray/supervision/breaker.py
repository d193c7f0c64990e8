"""Ends restarting when restarted actors no longer store reads."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class RestartBreaker:
    """Opens after ``most`` restarts within ``window_s`` seconds without a stored read."""

    most: int = 10
    window_s: float = 90.0
    _restarts: deque[float] = field(default_factory=deque)
    _stored: int = -1

    def progress(self, stored: int) -> None:
        """``stored``: rows committed since the sink started. A larger count clears the earlier restarts; a smaller one means a new sink."""
        if stored > self._stored >= 0:
            self._restarts.clear()
        self._stored = stored

    def restarted(self, now: float) -> None:
        self._restarts.append(now)
        while self._restarts and now - self._restarts[0] > self.window_s:
            self._restarts.popleft()

    @property
    def is_open(self) -> bool:
        return len(self._restarts) >= self.most
