"""Who may give commands: whoever knows the control token. Viewing needs none."""

from __future__ import annotations

import hmac
from collections import deque

TRIES = 5
PER_SECONDS = 60.0


class Gate:
    """One for the whole page process, so that a second browser tab brings no further tries."""

    def __init__(self, token: str | None) -> None:
        self._token = token.encode() if token else None
        self._failed: deque[float] = deque()

    @property
    def exists(self) -> bool:
        """False: no token is set, so nobody may give commands."""
        return self._token is not None

    def open(self, attempt: str, now: float) -> str | None:
        """None when ``attempt`` is the token, else why not. ``now`` is monotonic seconds."""
        if self._token is None:
            return "no control token is set"
        while self._failed and self._failed[0] <= now - PER_SECONDS:
            self._failed.popleft()
        if len(self._failed) >= TRIES:
            return f"too many wrong codes; try again in {PER_SECONDS - (now - self._failed[0]):.0f} s"
        if hmac.compare_digest(attempt.strip().encode(), self._token):
            return None
        self._failed.append(now)
        return "that is not the code"
