"""What all viewers of one page process share: the feed and the gate."""

from __future__ import annotations

import gc

import streamlit as st

from dashboard.feed import Feed
from dashboard.gate import Gate
from helix_ray.client import HelixClient, control_token


@st.cache_resource
def feed() -> Feed:
    made = Feed(HelixClient())
    # Streamlit collects garbage after every run of the script, at a cost that grows with the heap: what is there now stays.
    gc.collect()
    gc.freeze()
    return made


@st.cache_resource
def gate() -> Gate:
    return Gate(control_token())
