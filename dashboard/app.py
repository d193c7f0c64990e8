"""The page. ``helix monitor`` serves it; ``streamlit run dashboard/app.py`` works too."""

from __future__ import annotations

import streamlit as st

from dashboard.controls import controls
from dashboard.live import live
from dashboard.style import STYLE

st.set_page_config(page_title="Helix-Throttle", page_icon="🧬", layout="wide")
st.html(STYLE)
st.header("Helix-Throttle: DNA reads through a rate-limited LLM", anchor=False)
live()
controls()
