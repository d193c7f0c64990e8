"""The page. ``helix monitor`` serves it; ``streamlit run dashboard/app.py`` does the same, behind the same guard."""

from __future__ import annotations

import streamlit as st

from helix_ray._dashboard import controls, shared, start
from helix_ray._dashboard.live import STYLE, live
from helix_ray._dashboard.server import MIDDLEWARE, ROUTES


def draw() -> None:
    st.set_page_config(page_title="Helix-Throttle", page_icon="🧬", layout="wide")
    st.html(STYLE)
    st.header("Helix-Throttle: DNA reads through a rate-limited LLM", anchor=False)
    controls.bar()
    live()
    if not controls.commandable(shared.feed().latest()):
        start.page()


if __name__ == "__main__":  # as Streamlit runs it for a viewer
    draw()
else:  # as its server imports it, which finds this assignment
    app = st.App(__file__, routes=ROUTES, middleware=MIDDLEWARE)
