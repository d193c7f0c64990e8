"""The page. ``helix monitor`` serves it; ``streamlit run dashboard/app.py`` works too."""

from __future__ import annotations

import streamlit as st

from helix_ray._dashboard import controls, live, records_page, run_page
from helix_ray._dashboard.style import ICON, style

st.set_page_config(page_title="Helix-Throttle", page_icon=ICON, layout="wide")
st.html(style())
pages = [
    st.Page(live.page, title="Live", default=True),
    st.Page(records_page.page, title="Records", url_path="records"),
    st.Page(run_page.page, title="Run", url_path="run"),
    st.Page(controls.controls, title="Start", url_path="start"),
]
st.navigation(pages, position="top").run()
