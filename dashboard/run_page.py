"""The page Run: what a run is made of, what was asked of it, and the runs before it."""

from __future__ import annotations

import json
import shlex

import streamlit as st

from helix_ray._dashboard import controls, live, panels, shared
from helix_ray._dashboard.drawing import macros, shown
from helix_ray._dashboard.records_page import asked, shown_run
from helix_ray.client.past_run import provider_of
from helix_ray.client.stored import RunSummary
from helix_ray.config.schema import prompt_name

_books = macros("books.html")


def page() -> None:
    bar()
    books()
    runs()


@st.fragment(run_every=5.0)
def bar() -> None:
    view = shared.feed().latest()
    live.html("run-bar", (*live.moment(view), round(view.age_s)), lambda: panels.top(view))


@st.fragment
def books() -> None:
    run_id = shown_run()
    if run_id is None:
        return
    found = asked(lambda: shared.stored().books(run_id))
    if found is None:
        st.text("The database does not know this run yet.")
        return
    view = shared.feed().latest()
    url = view.snapshot.run.dashboard_url if view.live and view.snapshot else None
    run, report = found.run, shared.stored().report_page(run_id)
    prompt = prompt_name(run.config["analyzer"]["prompt"])
    st.html(_books.run(run, found.counts, provider_of(run), prompt, url, report))
    if controls.commandable(view) and st.button("Dry run of the whole run", key="forecast"):
        st.session_state.pop("dry_run", None)  # of a dialog
        controls.figures(shared.feed().client.dry_run_of_live, "Requests, cost, time and limit; nothing is sent:")
    st.subheader("Control events", anchor=False)
    if found.commands:
        st.html(_books.commands(found.commands))
    else:
        st.text("No command was given to this run.")
    st.button("Look again", key="books_again")
    with st.expander("Configuration, as it was stored (it holds no secrets)"):
        st.code(json.dumps(found.run.config, indent=2), language="json", height=400)


@st.fragment
def runs() -> None:
    st.subheader("Runs of this home", anchor=False)
    found = asked(lambda: shared.stored().all()) or []
    if not found:
        st.text("None yet.")
        return
    st.html(_books.runs(found))
    snapshot = shared.feed().latest().snapshot
    if snapshot is not None and snapshot.run.known:
        _beside(snapshot.run.run_id, [run for run in found if run.run_id != snapshot.run.run_id])


def _beside(run_id: str, others: list[RunSummary]) -> None:
    """The shown run and another one, which is the baseline, as `helix compare` sees them."""
    st.subheader("Compared with another run", anchor=False)
    if not others:
        st.text("There is no other run.")
        return
    names = {run.run_id: shown(f"{run.name} {run.run_id[:8]}, {run.started_at:%Y-%m-%d %H:%M} UTC") for run in others}
    baseline = st.selectbox("Baseline", list(names), index=None, format_func=names.__getitem__, key="baseline", placeholder="Choose a run")
    if baseline is None:
        return
    found = asked(lambda: shared.stored().compare(baseline, run_id))
    if found is not None:
        st.html(_books.compared(found))
    st.text("Tables, figures and the whole page are written by:")
    st.code(shlex.join(["helix", "compare", baseline, run_id, "--out", "comparison"]), language=None, wrap_lines=True)
    st.button("Look again", key="compared_again")
