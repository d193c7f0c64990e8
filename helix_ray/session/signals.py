"""Ctrl-C and SIGTERM: an interruption while a run starts, a count once it is under way (the first drains, the second ends)."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any, Self

LEAVE_WITHIN_S = 4.7
"""From the second signal to the end of the process: the promise is 5 s."""

HANDLED = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Installed on entering, the earlier handlers restored on leaving. Main thread only.

    Until `arm`, a signal raises KeyboardInterrupt: nothing flows yet, so there is nothing to drain.
    """

    def __init__(self) -> None:
        self.count = 0
        self.received: str | None = None  # the name of the last one
        self._armed = False
        self._force_since = 0.0
        self._event = threading.Event()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in HANDLED}
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def install(self) -> None:
        """Once more after ``ray.init``, which sets a handler of its own."""
        for number in HANDLED:
            signal.signal(number, self._note)

    def arm(self) -> None:
        """From now on signals are counted."""
        self._armed = True

    @property
    def force(self) -> bool:
        """Asked twice: stop now."""
        return self.count > 1

    def wait(self, seconds: float) -> None:
        """Sleeps, but not through a signal."""
        self._event.wait(seconds)
        self._event.clear()

    def wait_for_one_more(self) -> None:
        """Until the next signal, however long that takes."""
        seen = self.count
        while self.count == seen:
            self.wait(1.0)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if not self._armed:
            raise KeyboardInterrupt
        self.count += 1
        self.received = signal.Signals(number).name
        if self.count == 2:
            self._force_since = time.monotonic()
        self._event.set()

    def leave_in_time(self, exit_code: int) -> None:
        """After a second signal: whatever still shuts down by then is cut off. Call it when everything is stored and said."""
        if self.force:
            left_s = max(0.0, LEAVE_WITHIN_S - (time.monotonic() - self._force_since))
            timer = threading.Timer(left_s, os._exit, (exit_code,))
            timer.daemon = True
            timer.start()
