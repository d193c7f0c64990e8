"""The page. ``helix monitor`` serves it; ``streamlit run dashboard/app.py`` works too."""

from __future__ import annotations

import streamlit as st

from helix_ray._dashboard.controls import controls
from helix_ray._dashboard.live import STYLE, live

st.set_page_config(page_title="Helix-Throttle", page_icon="🧬", layout="wide")
st.html(STYLE)
st.header("Helix-Throttle: DNA reads through a rate-limited LLM", anchor=False)
live()
controls()
