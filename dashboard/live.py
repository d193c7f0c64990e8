"""The part of the page that moves: drawn once a second from the shared feed."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from helix_ray._dashboard import accuracy, controls, panels, shared
from helix_ray._dashboard.feed import View
from helix_ray.metrics.snapshot import MetricsSnapshot

CHART_HEIGHT = 260
API_HEIGHT = 420  # eleven rows: all that there mostly are
STALE_AFTER_S = 4

STYLE = f"""<style>
@keyframes hx-stale-0 {{ from {{ opacity: 0; max-height: 0; padding: 0; }} to {{ opacity: 1; max-height: 4em; padding: .5em 1em; }} }}
@keyframes hx-stale-1 {{ from {{ opacity: 0; max-height: 0; padding: 0; }} to {{ opacity: 1; max-height: 4em; padding: .5em 1em; }} }}
.hx-stale {{ opacity: 0; max-height: 0; overflow: hidden; background: #7a4b00; color: #fff; border-radius: .4em; }}
.hx-stale.hx-0 {{ animation: hx-stale-0 .2s linear {STALE_AFTER_S}s 1 forwards; }}
.hx-stale.hx-1 {{ animation: hx-stale-1 .2s linear {STALE_AFTER_S}s 1 forwards; }}
</style>"""
"""The staleness banner needs no script: each update restarts its animation, and without one it appears."""


@st.fragment(run_every=1.0)
def live() -> None:
    view = shared.feed().latest()
    _rerun_controls_on_change(view)
    beat = st.session_state["beat"] = st.session_state.get("beat", 0) + 1
    st.html(_banner(beat))
    _launched(view)
    if view.snapshot is None:
        st.info("No samples yet: no run has been seen in this home. Start one below, or with `helix run` in a terminal.")
        if view.problem:
            st.text(view.problem)
        return
    if not view.snapshot.run.known:
        st.warning(panels.RUN_UNKNOWN)
        return
    _strip(view, view.snapshot)
    _cards(view.snapshot)
    _charts(view, view.snapshot)
    _tables(view.snapshot)


def _banner(beat: int) -> str:
    """The banner with a class that alternates, so that the browser begins its waiting time anew. It holds no outside text."""
    return (
        f'<div class="hx-stale hx-{beat % 2}" role="status">⚠ No update for {STALE_AFTER_S} seconds: the page server does not answer. '
        "What you see is old; buttons may not work.</div>"
    )


def _rerun_controls_on_change(view: View) -> None:
    """The controls are not redrawn every second; they must be when there is something else to control."""
    situation = controls.situation(view)
    before = st.session_state.get("situation")
    st.session_state["situation"] = situation
    if before is not None and before != situation:
        st.rerun()


def _launched(view: View) -> None:
    launch = shared.feed().client.launched
    if launch is None or view.live:
        return
    code = launch.poll()
    if code is None:
        st.info("A run is starting; Ray takes 5 to 20 seconds.")
    elif code != 0:
        st.error(f"The run started here ended with exit code {code}. Its last lines:")
        st.code(launch.tail(), language=None)


def _strip(view: View, snapshot: MetricsSnapshot) -> None:
    st.text(panels.state_line(snapshot))
    st.text(panels.run_lines(snapshot, view.age_s))
    if label := panels.emulator_text(snapshot):
        st.warning(label)
    if view.stale:
        st.error(f"The run has not answered for {view.age_s:.0f} seconds; what you see is old.")
    elif not view.live:
        st.info("No live run: this is the last one, as the database has it.")
        if view.problem:
            st.text(view.problem)
    control = snapshot.control
    controls.outcomes(view)
    if view.live and control.adopted < control.version:
        st.text("A command is acknowledged and not yet in effect everywhere.")


def _cards(snapshot: MetricsSnapshot) -> None:
    cards = panels.cards(snapshot)
    for column, card in zip(st.columns(len(cards)), cards, strict=True):
        with column:
            st.metric(card.label, card.value, delta=card.note, delta_color="off", delta_arrow="off", border=True, height="stretch")


def _charts(view: View, snapshot: MetricsSnapshot) -> None:
    left, right = st.columns(2)
    _chart(left, "Queue depth", panels.queue_chart(view.history, snapshot.queue.capacity), "queue")
    _chart(right, "Rates", panels.rates_chart(view.history), "rates")


def _tables(snapshot: MetricsSnapshot) -> None:
    left, right = st.columns(2)
    left.caption("Recent reads")
    _table(panels.read_columns(snapshot.recent_reads), "reads", left)
    right.caption("Recent mutation alerts: reads with a difference from the reference window, not a diagnosis")
    _table(panels.read_columns(snapshot.recent_alerts), "alerts", right)
    _accuracy(snapshot)
    left, right = st.columns(2)
    left.caption("Headroom of the API's limits")
    _table(panels.bucket_columns(snapshot), "buckets", left)
    right.caption("Actors")
    _table(panels.actor_columns(snapshot), "actors", right)
    st.caption("The API and the throttle")
    _table(panels.api_columns(snapshot), "api", height=API_HEIGHT)


def _accuracy(snapshot: MetricsSnapshot) -> None:
    st.caption(accuracy.title(snapshot), help=accuracy.HELP)
    if not snapshot.accuracy:
        return
    _table(accuracy.type_columns(snapshot), "accuracy")
    left, right = st.columns(2)
    _table(accuracy.mistake_columns(snapshot), "mistakes", left)
    spec, text = accuracy.distance_chart(snapshot)
    _chart(right, text, (spec, text), "off_by")
    # One table at a time: eight of them, redrawn every second, would slow the page down.
    dimension = st.selectbox("Break down by", list(snapshot.strata), index=None, key="dimension")
    if dimension is not None:
        _table(accuracy.stratum_columns(snapshot, dimension), "stratum")


def _chart(area: DeltaGenerator, title: str, drawn: tuple[panels.Spec, str], key: str) -> None:
    """``drawn``: the chart, and its description for readers who cannot see it."""
    area.caption(title)
    area.echarts_chart(drawn[0], key=key, height=CHART_HEIGHT, alt=drawn[1])


def _table(columns: dict[str, list[str]], key: str, area: DeltaGenerator | None = None, height: int = 220) -> None:
    """Text cells only: what a file's header or a model's answer holds is shown as it is. ``area`` None: the page's whole width."""
    text_only = {name: st.column_config.TextColumn(name) for name in columns}
    (area or st).dataframe(columns, column_config=text_only, hide_index=True, height=height, key=key)
