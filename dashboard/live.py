"""The page that moves. Each part is drawn once for all viewers and replayed to the others, at the pace at which it is looked at."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from helix_ray._dashboard import accuracy, charts, controls, panels, reads, shared
from helix_ray._dashboard.feed import View
from helix_ray.metrics.snapshot import MetricsSnapshot

Key = tuple[str | float | bool | None, ...]

CHART_HEIGHT = 218
PULSE_S = 0.8  # below the second in which a run's numbers change, so that no viewer misses one when its timer is late
DETAILS = ("accuracy", "limits and API", "actors")


def page() -> None:
    with st.container(key="hx-top"):
        bar = st.empty()
        controls.bar()
    pulse(bar)
    if shared.feed().latest().snapshot is not None:
        story()
        details()


@st.cache_data(ttl=60, max_entries=100, show_spinner=False)
def html(part: str, key: Key, _draw: Callable[[], str]) -> None:
    """``_draw`` is called for the first viewer who asks for this part of this moment."""
    st.html(_draw())


@st.cache_data(ttl=60, max_entries=20, show_spinner=False)
def chart(part: str, key: Key, _draw: Callable[[], tuple[charts.Spec, str]], height: int) -> None:
    spec, words = _draw()
    st.echarts_chart(spec, key=part, height=height, alt=words)


def moment(view: View) -> Key:
    """What a drawing depends on: the same for every viewer."""
    snapshot = view.snapshot
    if snapshot is None:
        return (None,)
    return (snapshot.run.run_id, snapshot.as_of, snapshot.state, view.live, view.lost, view.stale, view.problem)


@st.fragment(run_every=PULSE_S)
def pulse(bar: DeltaGenerator) -> None:
    """State and pulse. ``bar`` stands in the part of the page that never scrolls away."""
    view, launch = shared.feed().latest(), shared.feed().client.launched
    code = None if launch is None else launch.poll()
    _rerun_on_change(view)
    beat = st.session_state["beat"] = (st.session_state.get("beat", 0) + 1) % 2
    key = (*moment(view), round(view.age_s), launch is None, code, beat)

    def drawn() -> str:
        tail = launch.tail() if launch is not None and code else ""
        begun = view.snapshot.run.started_at if view.snapshot else None  # once it was seen, what has no end yet is ending
        starting = launch is not None and code is None and (begun or 0.0) < launch.at
        commands = view.snapshot.commands if view.snapshot and controls.commandable(view) else ()
        told = controls.outcome(commands[0]) if commands else ""
        return panels.late_banner(beat) + panels.top(view, starting=starting, code=code, tail=tail, told=told)

    with bar:
        html("bar", key, drawn)
    snapshot = view.snapshot
    if snapshot is not None and snapshot.run.known:
        html("cells", moment(view), lambda: panels.cells(view))
    elif snapshot is None and (launch is None or code):
        html("hello", (), panels.hello)


@st.fragment(run_every=2.0)
def story() -> None:
    """What happened: the queue and the rates over time, and the last reads."""
    view = shared.feed().latest()
    snapshot = view.snapshot
    if snapshot is None or not snapshot.run.known:
        return
    key, dark = moment(view), st.context.theme.type == "dark"
    with st.container(key="hx-charts"):
        span = _choice("Time shown", tuple(charts.SPANS), "span", "hx-span")
        seconds, levels = charts.SPANS[span], (snapshot.queue.capacity, snapshot.run.low_watermark)
        chart(
            "timeline",
            (*key, span, dark),
            lambda: charts.timeline(view.history, snapshot.commands, *levels, seconds, dark=dark),
            CHART_HEIGHT,
        )
    left, right = st.columns(2)
    with left:
        html("feed", key, lambda: reads.feed(snapshot))
    with right, st.container(key="hx-alerts"):
        which = _choice("Alerts shown", reads.FILTERS, "filter", "hx-filter")
        html("alerts", (*key, which), lambda: reads.alert_log(snapshot, which))


def _choice(label: str, options: tuple[str, ...], key: str, place: str) -> str:
    with st.container(key=place):
        chosen = st.segmented_control(label, options, default=options[0], required=True, key=key, label_visibility="collapsed")
    return chosen or options[0]


@st.fragment
def details() -> None:
    """What is looked at now and then: only while it is open has it a timer, and is drawn."""
    opened = st.segmented_control("More of this run", DETAILS, key="details")
    if opened is not None:
        detail(opened)


@st.fragment(run_every=5.0)
def detail(opened: str) -> None:
    view = shared.feed().latest()
    snapshot = view.snapshot
    if snapshot is None or not snapshot.run.known:
        return
    key = moment(view)
    if opened == DETAILS[0]:
        _accuracy(snapshot, key)
    elif opened == DETAILS[1]:
        html("limits", key, lambda: panels.limits(snapshot))
    else:
        html("actors", key, lambda: panels.actors(snapshot))


def _accuracy(snapshot: MetricsSnapshot, key: Key) -> None:
    st.caption(accuracy.title(snapshot), help=accuracy.HELP)
    if not snapshot.accuracy:
        return
    html("types", key, lambda: panels.types(snapshot))
    left, right = st.columns(2)
    with left:
        html("mistakes", key, lambda: panels.mistaken(snapshot))
    with right:
        chart("off_by", key, lambda: accuracy.distance_chart(snapshot), CHART_HEIGHT)
    dimension = st.selectbox("Break down by", list(snapshot.strata), index=None, key="dimension")
    if dimension is not None:
        html("stratum", (*key, dimension), lambda: panels.stratum(snapshot, dimension))


def _rerun_on_change(view: View) -> None:
    """The controls and the page's parts are not redrawn every second; they must be when there is something else to show."""
    situation = (view.lost, *controls.situation(view))
    before = st.session_state.get("situation")
    st.session_state["situation"] = situation
    if before is not None and before != situation:
        st.rerun()
