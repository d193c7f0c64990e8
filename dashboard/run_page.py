"""The page Run: what a run is made of, what was asked of it, and the runs before it."""

from __future__ import annotations

import json

import streamlit as st

from helix_ray._dashboard import controls, live, panels, shared, stored_html
from helix_ray._dashboard.records_page import asked, shown_run


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
    report = shared.stored().report_page(run_id)
    st.html(stored_html.run_card(found, url, str(report) if report else None))
    if controls.commandable(view) and st.button("Dry run of the whole run", key="forecast"):
        st.session_state.pop("dry_run", None)  # of a dialog
        controls.figures(shared.feed().client.dry_run_of_live, "Requests, cost, time and limit; nothing is sent:")
    st.subheader("Control events", anchor=False)
    if found.commands:
        live.text_table(stored_html.command_columns(found))
    else:
        st.text("No command was given to this run.")
    st.button("Look again", key="books_again")
    with st.expander("Configuration, as it was stored (it holds no secrets)"):
        st.code(json.dumps(found.run.config, indent=2), language="json", height=400)


@st.fragment
def runs() -> None:
    st.subheader("Runs of this home", anchor=False)
    found = asked(lambda: shared.stored().all()) or []
    if found:
        live.text_table(stored_html.run_columns(found))
    else:
        st.text("None yet.")
