"""What all viewers of one page process share: the feed and the gate."""

from __future__ import annotations

import gc
import threading
from functools import cache

import streamlit as st

from dashboard.feed import Feed
from dashboard.gate import Gate
from helix_ray.client import HelixClient, control_token, take_control_code

_gate_lock = threading.Lock()


@st.cache_resource
def feed() -> Feed:
    made = Feed(HelixClient())
    # Streamlit collects garbage after every run of the script, at a cost that grows with the heap: what is there now stays.
    gc.collect()
    gc.freeze()
    return made


def gate() -> Gate:
    """Not one of Streamlit's resources: those every viewer can clear, and with them the count of wrong codes."""
    with _gate_lock:
        return _the_gate()


@cache
def _the_gate() -> Gate:
    code = take_control_code()
    token = control_token()
    return Gate(token) if token is not None else Gate(code, once=True)
