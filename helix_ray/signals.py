"""Ctrl-C and SIGTERM as a count that the driver looks at: the first asks for a drain, the second for the end."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

HANDLED = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Installed on entering, the earlier handlers restored on leaving. Main thread only."""

    def __init__(self) -> None:
        self.count = 0
        self._event = threading.Event()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in HANDLED:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Sleeps, but not through a signal."""
        self._event.wait(seconds)
        self._event.clear()

    def wait_for_one_more(self) -> None:
        """Until the next signal, however long that takes."""
        seen = self.count
        while self.count == seen:
            self.wait(1.0)
