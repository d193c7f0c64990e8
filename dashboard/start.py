"""A run is started here: its configuration and what is mostly changed of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from helix_ray._dashboard import controls, shared
from helix_ray.client import shipped_configs
from helix_ray.config import Config
from helix_ray.config.loading import load_config
from helix_ray.errors import HelixError

FIRST = ("endless", "demo")  # offered before the others: both need no key
MOST_SEED = 2**53 - 1  # that a browser counts exactly


@st.fragment
def page() -> None:
    """Without a timer, as the bar: nothing is redrawn under a hand."""
    launch = shared.feed().client.launched
    idle = launch is None or launch.poll() is not None
    configs = shipped_configs()
    names = [*(name for name in FIRST if name in configs), *(name for name in configs if name not in FIRST)]
    if not names:
        st.text("No shipped configuration was found.")
        return
    with st.container(key="hx-start", border=True):
        name = st.selectbox("Configuration", names, key="config")
        try:
            config = load_config(configs[name])
            overrides = _overrides(name, config)
            load_config(configs[name], overrides)
        except HelixError as error:
            st.text(str(error))
            return
        backend = config.analyzer.backend
        paid = backend.asks_an_api and not backend.simulated
        if st.button("Start…" if paid else "Start", key="start", type="primary", disabled=not (shared.in_control() and idle)):
            if paid:
                controls.opened()
                confirm_start(name, configs[name], overrides)
            else:
                _start(name, configs[name], overrides)
        controls.access()
    for line in st.session_state.get("answers", []):
        st.text(line)


def _overrides(name: str, config: Config) -> tuple[str, ...]:
    """What the form holds and the file does not. Emptied: null."""
    count, rate, cap, seed = st.columns(4)
    source, most_usd, shown_seed = config.source, config.throttle.max_cost_usd, min(config.run.seed, MOST_SEED)
    asked = {  # widgets are keyed by the configuration, so that another one shows its own values
        "source.count": (source.count, count.number_input("Reads (empty: endless)", 1, 10**12, source.count, 1, key=f"count-{name}")),
        "source.rate_per_s": (
            source.rate_per_s,
            rate.number_input("Reads/s (empty: no limit)", 1e-3, 1e7, source.rate_per_s, format="%g", key=f"rate-{name}"),
        ),
        "throttle.max_cost_usd": (most_usd, cap.number_input("Cost cap, $", 1e-6, 1e6, most_usd, format="%g", key=f"cap-{name}")),
        "run.seed": (shown_seed, seed.number_input("Seed", 0, MOST_SEED, shown_seed, 1, key=f"seed-{name}")),
    }
    return tuple(f"{key}={'null' if new is None else new!r}" for key, (old, new) in asked.items() if new != old)


@st.dialog("This run costs money")
def confirm_start(name: str, path: Path, overrides: Sequence[str]) -> None:
    """Nothing is paid for before its price was shown."""
    found = controls.figures(lambda: shared.feed().client.dry_run(path, overrides), f"Dry run of {name}; nothing has been sent:")
    cap = "" if found is None or found.cap_usd is None else f", spend at most ${found.cap_usd:,.2f}"
    if st.button(f"Start{cap}", key="start_paid", type="primary", disabled=found is None) and found is not None:
        _start(name, path, overrides)


def _start(name: str, path: Path, overrides: Sequence[str]) -> None:
    if not shared.in_control(use=True):
        controls.answer(f"start {name}: not started: this browser is not in control")
    else:
        try:
            controls.answer(f"start {name}: process {shared.feed().client.start_run(path, overrides)}")
        except HelixError as error:
            controls.answer(f"start {name}: not started: {error}")
    st.rerun()
