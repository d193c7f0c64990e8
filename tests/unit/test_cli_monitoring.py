"""``helix status``'s table and the settings under which ``helix monitor`` serves the page."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console
from streamlit import config

from helix_ray.cli.live_view import render
from helix_ray.cli.monitor import settings
from helix_ray.metrics.snapshot import BucketView, MetricsSnapshot, Money, QueueView, Rates, RunInfo, ThrottleView, Totals, TypeAccuracy

LIVE = MetricsSnapshot(
    as_of=1_700_000_000.0,
    run=RunInfo("run-1", "demo [red]x", "emulator", True, "m", 0.1, reads_requested=2000),
    state="RUNNING",
    rates=Rates(1234.5, 20, 19.9),
    totals=Totals(stored=1500, failures=2, http_429=3),
    queue=QueueView(waiting=480, redelivered=12, max_queue_depth=500, blocked=True),
    money=Money(0.0123, 0.001, 1.0),
    throttle=ThrottleView((BucketView("requests_per_minute", 1000, 12.0, source="discovered"),), in_flight=8),
    accuracy=(TypeAccuracy("SNV", 8, 1, 2),),
)
STRANGE = replace(
    LIVE,
    run=replace(LIVE.run, simulated=False, reads_requested=None),
    rates=Rates(math.nan, math.inf, None),
    money=Money(math.nan, 0.0, None),
    accuracy=(),
)


def shown(snapshot: MetricsSnapshot) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(render(snapshot))
    return console.export_text()


def test_the_terminal_shows_what_is_asked_of_it() -> None:
    text = shown(LIVE)
    wanted = ["RUNNING", "EMULATOR", "scaled by 0.1", "demo [red]x", "1,500 of 2,000", "492 / 500", "12 of 1,000 a minute"]
    assert not [words for words in [*wanted, "$0.0123", "3 429s", "SNV P 89 %"] if words not in text]


@pytest.mark.parametrize("snapshot", [STRANGE, MetricsSnapshot(as_of=0.0)])
def test_every_number_can_be_shown(snapshot: MetricsSnapshot) -> None:
    text = shown(snapshot)
    assert "EMULATOR" not in text
    assert not [word for word in ("nan", "inf ", "None") if word in text]


def test_the_page_is_closed_to_other_sites_and_cheap_per_viewer() -> None:
    wanted = settings(8502, "127.0.0.1", ["lab.example"])
    known = {option.env_var for option in config._config_options_template.values()}
    assert not set(wanted) - known, "an option that Streamlit does not know is silently without effect"
    assert wanted["STREAMLIT_RUNNER_POST_SCRIPT_GC"] == "false"
    assert wanted["STREAMLIT_SERVER_ADDRESS"] == "127.0.0.1"
    assert wanted["STREAMLIT_SERVER_ALLOWED_HOSTS"] == "localhost 127.0.0.1 lab.example"
