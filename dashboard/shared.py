"""What all viewers of one page process share: the feed, and the gate in front of commands."""

from __future__ import annotations

import gc
import threading
import time
from functools import cache

import streamlit as st

from helix_ray._dashboard.feed import Feed
from helix_ray._dashboard.gate import Gate
from helix_ray.client import HelixClient, control_token, take_control_code
from helix_ray.client.stored import StoredRuns

CONTROL_COOKIE = "helix_control"

_gate_lock = threading.Lock()


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
    """Not one of Streamlit's resources: those every viewer can clear, and with them the sessions and the count of wrong codes."""
    with _gate_lock:
        return _the_gate()


@cache
def _the_gate() -> Gate:
    code, token = take_control_code(), control_token()
    return Gate(token, time.monotonic) if token is not None else Gate(code, time.monotonic, once=True)


def in_control(*, use: bool = False) -> bool:
    """Whether this viewer's browser may give commands. ``use``: it gives one."""
    return gate().admits(st.context.cookies.get(CONTROL_COOKIE), use=use)
