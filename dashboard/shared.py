"""What all viewers of one page process share: the feed, and the gate in front of commands.

Commands need the control token, or the code, which the first viewer to enter it uses up. Viewing needs neither.
"""

from __future__ import annotations

import gc
import hmac
import threading
from collections import deque
from functools import cache

import streamlit as st

from helix_ray._dashboard.feed import Feed
from helix_ray.client import HelixClient, control_token, take_control_code
from helix_ray.client.stored import StoredRuns

TRIES = 5
PER_SECONDS = 60.0
USED = "the code was used; start helix monitor again or set HELIX_CONTROL_TOKEN"

_gate_lock = threading.Lock()


class Gate:
    """One for the whole page process, so that a second browser tab brings no further tries."""

    def __init__(self, token: str | None, *, once: bool = False) -> None:
        """``once``: the first correct entry uses the token up. Else it may be entered any number of times."""
        self._token = token.encode() if token else None
        self._once = once
        self._used = False
        self._failed: deque[float] = deque()
        self._lock = threading.Lock()  # viewers come in threads of their own, and one of them may be the first

    @property
    def exists(self) -> bool:
        """False: no token is set, so the page takes no commands."""
        return self._token is not None

    @property
    def used_up(self) -> bool:
        """The code was entered: no other viewer can unlock the controls."""
        return self._once and self._used

    def open(self, attempt: str, now: float) -> str | None:
        """None when ``attempt`` is the token, else why not. ``now`` is monotonic seconds."""
        with self._lock:
            if self._token is None:
                return "no control token is set"
            if self.used_up:
                return USED
            while self._failed and self._failed[0] <= now - PER_SECONDS:
                self._failed.popleft()
            if len(self._failed) >= TRIES:
                return f"too many wrong codes; try again in {PER_SECONDS - (now - self._failed[0]):.0f} s"
            if hmac.compare_digest(attempt.strip().encode(), self._token):
                self._used = True
                return None
            self._failed.append(now)
            return "that is not the code"


@st.cache_resource
def feed() -> Feed:
    made = Feed(HelixClient())
    # Streamlit collects garbage after every run of the script, at a cost that grows with the heap: what is there now stays.
    gc.collect()
    gc.freeze()
    return made


def stored() -> StoredRuns:
    """The database of the runs that the feed shows."""
    return StoredRuns(feed().client.home)


def gate() -> Gate:
    """Not one of Streamlit's resources: those every viewer can clear, and with them the count of wrong codes."""
    with _gate_lock:
        return _the_gate()


@cache
def _the_gate() -> Gate:
    code, token = take_control_code(), control_token()
    return Gate(token) if token is not None else Gate(code, once=True)
