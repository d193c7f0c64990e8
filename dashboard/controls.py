"""The part of the page that acts. It has no timer of its own, so no redraw can swallow a click."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from helix_ray._dashboard import server, shared
from helix_ray._dashboard.feed import View
from helix_ray.client import DryRun, command
from helix_ray.errors import HelixError
from helix_ray.metrics.snapshot import FINAL_STATES, CommandView, MetricsSnapshot
from helix_ray.records import Action

SPIKE_S = 30.0
DOUBLE_S = 1.0
"""The same command again within this time is the same request: a second click, or a press that Streamlit replays with a redraw."""
MOST = {Action.RATE: 1e7, Action.CONCURRENCY: 1024.0, Action.BUDGET: 1e6}


def situation(view: View) -> tuple[object, ...]:
    """All that the bar depends on: it is to be redrawn when this has changed, and only then."""
    launch = shared.feed().client.launched
    starting = launch is not None and launch.poll() is None
    if (snapshot := view.snapshot) is None:
        return (view.live, starting)
    control, over = snapshot.control, snapshot.state in FINAL_STATES
    wanted = (control.paused, control.rate_per_s, control.ending, control.can_spike, control.spike_refusal)
    return (view.live, starting, view.stale, over, snapshot.run.run_id, snapshot.money.max_cost_usd, snapshot.slots, wanted)


@st.fragment
def bar() -> None:
    """One row, for a live run: what can be asked of it, who may, and why something cannot be asked now."""
    view = shared.feed().latest()
    if not commandable(view):
        return
    snapshot = view.snapshot
    assert snapshot is not None
    enabled = shared.in_control() and not view.stale and snapshot.run.known and snapshot.control.ending != "stop"
    with st.container(key="hx-controls", horizontal=True, vertical_alignment="center", gap="small"):
        _buttons(snapshot, enabled)
        access()
    notes = [snapshot.control.spike_refusal and f"Spike: {snapshot.control.spike_refusal}", *st.session_state.get("answers", [])]
    if view.stale:
        notes.insert(0, "Disabled while the run does not answer.")
    elif not snapshot.run.known:
        notes.insert(0, "Disabled until it is known which run this is.")
    for note in filter(None, notes):
        st.text(note)


def outcome(shown: CommandView) -> str:
    """Requested → acknowledged → in effect, each with the seconds since it was asked."""
    asked = time.strftime("%H:%M:%S", time.gmtime(shown.asked_at))
    words = f"{asked} UTC {shown.action}{'' if shown.value is None else f' {shown.value:g}'}: requested"
    if shown.acknowledged_at is not None:
        word = "refused" if shown.accepted is False else "acknowledged"
        words += f" → {word} {shown.acknowledged_at - shown.asked_at:.1f} s"
    if shown.in_effect_at is not None:
        words += f" → in effect {shown.in_effect_at - shown.asked_at:.1f} s"
    return words


def commandable(view: View) -> bool:
    return view.live and view.snapshot is not None and view.snapshot.state not in FINAL_STATES


def access() -> None:
    """The form for the code, or the one that gives control up."""
    gate = shared.gate()
    if shared.in_control():
        st.html(server.LOCK_FORM)
    elif not gate.exists:
        st.text("View only: start the page with `helix monitor`, which prints a control code, or set HELIX_CONTROL_TOKEN.")
    elif gate.used_up:
        st.text("View only: the code is in use in another browser.")
    else:
        form = st.session_state.setdefault("form", gate.form())
        st.html(server.unlock_form(form))


def _buttons(snapshot: MetricsSnapshot, enabled: bool) -> None:
    control = snapshot.control
    flow = Action.RESUME if control.paused else Action.PAUSE
    # Sent before the bar is drawn again: with what another browser did meanwhile, this button may not be in it any more.
    st.button(flow.value.capitalize(), key=flow.value, disabled=not enabled, on_click=send, args=(flow,))
    spikes, spike = enabled and control.can_spike, (Action.SPIKE, None, SPIKE_S)
    spiked = "Never adds reads, never passes the cost cap"
    st.button(f"Spike {SPIKE_S:.0f} s", key="spike", disabled=not spikes, help=spiked, on_click=send, args=spike)
    drained = "Stores what is in flight, then ends; the run can be resumed"
    st.button("Drain", key="drain", disabled=not enabled, help=drained, on_click=send, args=(Action.DRAIN,))
    if st.button("Stop…", key="stop", disabled=not enabled):
        opened()
        confirm_stop(snapshot)
    rate = "as configured" if control.rate_per_s is None else f"{control.rate_per_s:g} /s"
    _value(Action.RATE, f"Rate {rate}", "Reads/s of the source; empty: as configured", enabled)
    _value(Action.CONCURRENCY, f"In flight {snapshot.slots}", "Requests in flight of each analyzer; empty: as configured", enabled)
    cap = snapshot.money.max_cost_usd
    words = "No cap" if cap is None else f"Cap ${cap:,.2f}"
    _value(Action.BUDGET, words, "US dollars for the whole run; empty: as configured", enabled)
    if (asked := st.session_state.pop("cap_asked", None)) is not None:
        opened()
        confirm_cap(*asked)


def _value(action: Action, label: str, explanation: str, enabled: bool) -> None:
    """Sets an absolute value. With each that is set the popover is another one, so that it closes."""
    popover = st.popover(label, disabled=not enabled, key=f"{action.value}_popover_{st.session_state.get('values_set', 0)}")
    with popover, st.form(f"{action.value}_form", border=False):
        step = 1.0 if action is Action.CONCURRENCY else None
        lowest = 1.0 if action is Action.CONCURRENCY else 1e-6
        st.number_input(explanation, lowest, MOST[action], None, step, format="%g", key=f"{action.value}_value")
        st.form_submit_button("Set", key=f"{action.value}_button", disabled=not enabled, on_click=_set, args=(action,))


def _set(action: Action) -> None:
    """A cap that is higher is asked about first."""
    st.session_state["values_set"] = st.session_state.get("values_set", 0) + 1
    value, snapshot = st.session_state[f"{action.value}_value"], shared.feed().latest().snapshot
    if action is Action.BUDGET and snapshot is not None:
        cap, target = snapshot.money.max_cost_usd, snapshot.run.max_cost_usd if value is None else value
        if cap is not None and (target is None or target > cap):
            st.session_state["cap_asked"] = (value, snapshot.run.run_id)
            return
    send(action, value)


@st.dialog("Stop now")
def confirm_stop(snapshot: MetricsSnapshot) -> None:
    st.text("What is in flight is stored within the drain timeout; nothing further is sent. The run can be resumed.")
    typed = st.text_input(f"Type the run's name to stop it: {snapshot.run.name}", key="stop_name")
    if st.button("Stop now", key="stop_now", type="primary"):
        if typed != snapshot.run.name:
            st.error("That is not the name of this run.")
        elif snapshot.run.run_id != run_id_now():
            st.error("That run has ended.")
        else:
            send(Action.STOP)
            st.rerun()
    done = f"{snapshot.totals.requests:,} requests and ${snapshot.money.spent_usd or 0:,.4f} spent so far"
    figures(shared.feed().client.dry_run_of_live, f"Done: {done}. The whole run, by its dry run:")


@st.dialog("A higher cap")
def confirm_cap(value: float | None, run_id: str) -> None:
    words = "the cap as configured" if value is None else f"a cap of ${value:,.2f}"
    overrides = () if value is None else (f"throttle.max_cost_usd={value!r}",)
    known = figures(lambda: shared.feed().client.dry_run_of_live(overrides), f"The whole run under {words}, by its dry run:")
    if st.button(f"Set {words}", key="higher_cap", type="primary", disabled=known is None) and known is not None:
        if run_id != run_id_now():
            st.error("That run has ended.")
        else:
            send(Action.BUDGET, value)
            st.rerun()


def figures(ask: Callable[[], DryRun], title: str) -> DryRun | None:
    """Shows a dry run: requests, cost, time and limit. It is asked for once for each dialog. None when there is none; why is said."""
    st.text(title)
    found = st.session_state.get("dry_run")
    try:
        if found is None:
            with st.spinner("Dry run …"):
                found = st.session_state["dry_run"] = ask()
    except (HelixError, OSError, TimeoutError) as error:
        st.text(f"No forecast: {error}")
        return None
    st.code("\n".join(found.lines()), language=None, wrap_lines=True)
    return found


def opened() -> None:
    """To be called before a dialog is opened."""
    st.session_state.pop("dry_run", None)


def run_id_now() -> str:
    snapshot = shared.feed().latest().snapshot
    return snapshot.run.run_id if snapshot else ""


def send(action: Action, value: float | None = None, seconds: float | None = None) -> None:
    """Sends one command for a viewer who is in control now, whatever the page showed him: a button may be pressed without it."""
    if not shared.in_control(use=True):
        answer(f"{action.value}: not sent: this browser is not in control")
        return
    began, asked = time.monotonic(), (action, value, seconds)
    before, request, sent_at = st.session_state.get("sent", (None, None, 0.0))
    if before != asked or began - sent_at > DOUBLE_S:
        request = command(action, value, seconds, actor="page")
    try:
        ack = shared.feed().client.send(request)
    except HelixError as error:
        answer(f"{action.value}: requested → no answer: {error}")
        return
    finally:
        st.session_state["sent"] = (asked, request, time.monotonic())
    word = "acknowledged" if ack.accepted else "refused"
    answer(f"{action.value}: requested → {word} in {time.monotonic() - began:.1f} s: {ack.message}")


def answer(line: str) -> None:
    """What the page last said to this viewer."""
    st.session_state["answers"] = [f"{time.strftime('%H:%M:%S', time.gmtime())} UTC {line}"]
