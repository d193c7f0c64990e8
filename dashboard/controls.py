"""The part of the page that acts. It has no timer of its own, so no redraw can swallow a click."""

from __future__ import annotations

import time

import streamlit as st

from helix_ray._dashboard import shared
from helix_ray._dashboard.feed import View
from helix_ray.client import command, shipped_configs
from helix_ray.errors import HelixError
from helix_ray.metrics.snapshot import FINAL_STATES
from helix_ray.records import Action

MAX_SPIKE_S = 300


@st.fragment
def controls() -> None:
    st.subheader("Control", anchor=False)
    view = shared.feed().latest()
    unlocked = bool(st.session_state.get("unlocked")) or _unlock()
    if view.live and (snapshot := view.snapshot) is not None and snapshot.state not in FINAL_STATES:
        _commands(view, snapshot.run.name, unlocked and not view.stale and snapshot.run.known)
    else:
        _start(unlocked)
    for line in st.session_state.get("answers", []):
        st.text(line)


def _unlock() -> bool:
    gate = shared.gate()
    if not gate.exists:
        st.info("View only: start the page with `helix monitor`, which prints a control code, or set HELIX_CONTROL_TOKEN.")
        return False
    if gate.used_up:
        st.info(f"View only: {shared.USED}.")
        return False
    with st.form("unlock", clear_on_submit=True):
        attempt = st.text_input("Control code", type="password", key="code", help="helix monitor printed it, or HELIX_CONTROL_TOKEN")
        tried = st.form_submit_button("Unlock", key="unlock_button")
    if tried:
        refusal = gate.open(attempt, time.monotonic())
        if refusal is None:
            st.session_state["unlocked"] = True
            st.rerun()
        st.error(refusal)
    return False


def _commands(view: View, run_name: str, enabled: bool) -> None:
    *columns, stop = st.columns(4)
    about = {Action.PAUSE: None, Action.RESUME: None, Action.DRAIN: "Store what is in flight, then end; resumable"}
    for column, (action, text) in zip(columns, about.items(), strict=True):
        if column.button(action.value.capitalize(), key=action.value, disabled=not enabled, width="stretch", help=text):
            _send(action)
    with stop.popover("Stop", disabled=not enabled, width="stretch"):
        typed = st.text_input("Type the run's name to stop it", key="stop_name")
        st.text(run_name)
        if st.button("Stop now", key="stop", type="primary", disabled=not enabled):
            if typed == run_name:
                _send(Action.STOP)
            else:
                st.error("That is not the name of this run.")
    rate_column, spike_column = st.columns(2)
    with rate_column.form("rate"):
        rate = st.number_input("Rate of the source, reads/s (0: as configured)", min_value=0.0, max_value=1e7, value=0.0, key="rate_value")
        if st.form_submit_button("Set rate", key="rate_button", disabled=not enabled):
            _send(Action.RATE, rate or None)
    with spike_column.form("spike"):
        spike = st.number_input("Spike, reads/s (0: as fast as the source can)", min_value=0.0, max_value=1e7, value=0.0, key="spike_value")
        seconds = st.number_input("for seconds", min_value=1, max_value=MAX_SPIKE_S, value=30, key="spike_seconds")
        if st.form_submit_button("Spike", key="spike_button", disabled=not enabled, help="Never adds reads, never passes the cost cap"):
            _send(Action.SPIKE, spike or None, float(seconds))
    if view.stale:
        st.text("Disabled while the run does not answer.")
    elif not run_name:
        st.text("Disabled until it is known which run this is.")


def _start(unlocked: bool) -> None:
    client = shared.feed().client
    configs = shipped_configs()
    starting = client.launched is not None and client.launched.poll() is None
    if not configs:
        st.text("No shipped configuration was found.")
        return
    names = list(configs)
    chosen = st.selectbox("Configuration", names, index=names.index("demo") if "demo" in names else 0, key="config")
    if st.button("Start", key="start", type="primary", disabled=not unlocked or starting):
        try:
            _answer(f"start {chosen}: process {client.start_run(configs[chosen])}")
        except HelixError as error:
            _answer(f"start {chosen}: not started: {error}")
        st.rerun()


def _send(action: Action, value: float | None = None, seconds: float | None = None) -> None:
    """Requested → acknowledged, with the time it took; the strip above says when it is in effect."""
    began = time.monotonic()
    try:
        ack = shared.feed().client.send(command(action, value, seconds, actor="page"))
    except HelixError as error:
        _answer(f"{action.value}: requested → no answer: {error}")
        return
    word = "acknowledged" if ack.accepted else "refused"
    _answer(f"{action.value}: requested → {word} in {time.monotonic() - began:.1f} s: {ack.message}")


def _answer(line: str) -> None:
    st.session_state["answers"] = [f"{time.strftime('%H:%M:%S')} {line}", *st.session_state.get("answers", [])][:5]
