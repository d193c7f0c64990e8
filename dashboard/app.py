"""The page. ``helix monitor`` serves it; ``streamlit run dashboard/app.py`` does the same, behind the same guard."""

from __future__ import annotations

import streamlit as st

from helix_ray._dashboard import live, records_page, run_page, start
from helix_ray._dashboard.drawing import ICON, style
from helix_ray._dashboard.server import MIDDLEWARE, ROUTES


def draw() -> None:
    st.set_page_config(page_title="Helix-Throttle", page_icon=ICON, layout="wide")
    st.html(style())
    pages = [
        st.Page(live.page, title="Live", default=True),
        st.Page(records_page.page, title="Records", url_path="records"),
        st.Page(run_page.page, title="Run", url_path="run"),
        st.Page(_start, title="Start", url_path="start"),
    ]
    st.navigation(pages, position="top").run()


def _start() -> None:
    run_page.bar()
    start.page()


if __name__ == "__main__":  # as Streamlit runs it for a viewer
    draw()
else:  # as its server imports it, which finds this assignment
    app = st.App(__file__, routes=ROUTES, middleware=MIDDLEWARE)
