"""``helix status``'s table and the settings under which ``helix monitor`` serves the page."""

import io
import math
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console
from streamlit import config

from helix_ray.cli.monitor import check_free, settings
from helix_ray.cli.terminal import Frames, LiveView, plain_line
from helix_ray.client import Launch
from helix_ray.environment.secrets import Secret
from helix_ray.errors import StartError
from helix_ray.metrics.snapshot import (
    Bottleneck,
    BucketView,
    Latency,
    MetricsSnapshot,
    Money,
    QueueView,
    Rates,
    RunInfo,
    ThrottleView,
    Totals,
)
from helix_ray.metrics.state import duration_text, standing
from helix_ray.scoring.tally import Counts

LIVE = MetricsSnapshot(
    as_of=1_700_000_000.0,
    run=RunInfo("run-1", "demo [red]x", "emulator", True, "m", 0.1, reads_requested=2000),
    state="RUNNING",
    rates=Rates(1234.5, 20, 19.9),
    totals=Totals(stored=1500, failures=2, http_429=3),
    queue=QueueView(waiting=480, redelivered=12, max_queue_depth=500, blocked=True),
    money=Money(0.0123, 0.001, 1.0),
    throttle=ThrottleView((BucketView("requests_per_minute", 1000, 12.0, source="discovered"),), in_flight=8),
    accuracy={"SNV": Counts(tp=8, fn=2, fp=1), "INVALID": Counts(fp=100)},
    ceiling={"SNV": Counts(tp=10)},
)
STRANGE = replace(
    LIVE,
    run=replace(LIVE.run, simulated=False, reads_requested=None),
    rates=Rates(math.nan, math.inf, None),
    money=Money(math.nan, 0.0, None),
    accuracy={},
)


def shown(snapshot: MetricsSnapshot, width: int = 160) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(LiveView(snapshot))
    return console.export_text()


def test_the_terminal_shows_what_is_asked_of_it() -> None:
    text = shown(LIVE)
    wanted = ["RUNNING", "EMULATOR", "scaled by 0.1", "demo [red]x", "1,500 of 2,000", "492 / 500", "12 of 1,000 a minute"]
    assert not [words for words in [*wanted, "$0.0123", "3 429s"] if words not in text]
    (measures,) = [line.split() for line in text.splitlines() if "SNV" in line]
    assert measures[1:-1] == ["SNV", "0.842", "[0.606,", "0.956]", "0.889", "0.800", "1.000"], (
        "F1 and its interval, precision, recall, ceiling"
    )
    assert "missed 20 %, misplaced 0 %, misnamed 0 %" in text


@pytest.mark.parametrize("model", ["openai/gpt-oss-20b", "m" * 300])
def test_80_columns_are_enough(model: str) -> None:
    busy = replace(
        LIVE,
        run=replace(LIVE.run, run_id=str(uuid.UUID(int=1)), name="a name of some length " * 5, model=model, reads_requested=1_000_000),
        reason="the queue is full: producers wait",
        totals=Totals(stored=999_999, failures=1234, http_429=1234, dead_letters=1234),
        queue=QueueView(waiting=480, redelivered=20, leased=64, max_queue_depth=500, blocked=True, blocked_seconds=123_456),
        throttle=ThrottleView(tuple(BucketView(name, 250_000, 123_456, source="discovered") for name in ("RPM", "ITPM")), in_flight=256),
        latency=Latency(100, 1000, 12345),
        bottleneck=Bottleneck("requests limit", "RPM: 12 of 1000 left, requests wait"),
    )
    narrow, wide = shown(busy, 80).splitlines(), shown(busy, 160).splitlines()
    assert max(map(len, narrow)) == 80
    assert len(narrow) == len(wide), "nothing had to be broken"
    assert model[:20] in "\n".join(narrow)


CROWDED = replace(
    LIVE,
    slots=64,
    throttle=ThrottleView(
        tuple(BucketView(name, 250_000, 9.0, source="discovered") for name in ("RPM", "TPM", "RPD", "TPD")),
        in_flight=8, waiting=56, concurrency=8, breaker="half_open", gate_closed_for_s=3,
    ),
    totals=Totals(
        stored=1, requests=9, resent=3, failures=7, failures_by_kind=(("capacity", 4), ("transport", 3)), reads_by_tier=(("flex", 90),)
    ),
    money=Money(0.0123, 0.001, 1.0, 0.05, usd_per_hour=0.9, cap_in_s=3180),
    accuracy=dict.fromkeys(("SNV", "MNV", "INS", "DEL", "DELINS"), Counts(tp=8, fn=2, fp=1)),
    bottleneck=Bottleneck("tokens", "56 requests wait for TPM; " + "a shorter prompt would help " * 4),
)  # fmt: skip


@pytest.mark.parametrize("height", [24, 16])
def test_80_by_24_never_lose_what_the_run_waits_for(height: int) -> None:
    console = Console(width=80, height=height, record=True, file=io.StringIO(), force_terminal=True)
    console.print(LiveView(CROWDED, fit=True))
    lines = console.export_text().splitlines()
    assert len(lines) < height, "the cursor has a line of its own"
    assert (lines[0][0], lines[-1][0]) == ("╭", "╰"), "a whole frame"
    assert "RUNNING" in lines[1]
    assert "waits for tokens" in lines[2]
    wanted = ["stored", "queue", "cost", "in flight", "errors", *(["an hour, the cap in 53 m 00 s"] if height == 24 else [])]
    assert not [words for words in wanted if words not in "\n".join(lines)]


def test_after_a_resize_the_screen_is_cleared_before_the_next_frame() -> None:
    file = io.StringIO()
    console = Console(width=80, height=24, file=file, force_terminal=True)
    frames = Frames(console)
    frames.draw(LiveView(LIVE, fit=True))
    frames.draw(LiveView(LIVE, fit=True))
    assert "\x1b[2J" not in file.getvalue()
    console.size = (60, 20)  # type: ignore[assignment]
    file.truncate(0)
    frames.draw(LiveView(LIVE, fit=True))
    _, _, new = file.getvalue().partition("\x1b[2J")
    assert new.count("╭") == new.count("╰") == 1
    frames.stop()
    frames.stop()


def test_a_view_of_an_old_snapshot_says_so() -> None:
    stale, dead, held = standing(LIVE, 5.0, True), standing(LIVE, 1.0, False), standing(replace(LIVE, state="COMPLETE"), 99.0, True)
    assert (standing(LIVE, 4.0, True).state, held.state, held.stale) == ("RUNNING", "COMPLETE", False)
    assert (stale.state, stale.live, stale.driver_dead, stale.has_ended) == ("LAST SEEN RUNNING", True, False, False)
    assert (dead.state, dead.live, dead.stale, dead.driver_dead) == ("LAST SEEN RUNNING", False, True, True)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(LiveView(LIVE, stands=dead))
    assert "LAST SEEN RUNNING  no live run: its driver is gone" in console.export_text()


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.4, "8 s"), (59.6, "1 m 00 s"), (440, "7 m 20 s"), (11_100, "3 h 05 m"), (352_800, "4 d 02 h")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_plain_line_counts_the_reads_of_earlier_sessions() -> None:
    assert plain_line(LIVE).startswith("EMULATOR RUNNING: stored 1,500, 19.9 reads/s")
    assert "stored 1,600," in plain_line(replace(LIVE, run=replace(LIVE.run, rows_before=100)))


def test_what_holds_the_run_back_is_told_in_plain_words() -> None:
    held = replace(
        LIVE,
        state="PARKED",
        slots=64,
        throttle=ThrottleView(in_flight=0, waiting=8, parked="TPD", parked_for_s=31, next_probe_in_s=12, concurrency=8, breaker="open"),
        totals=Totals(
            requests=200, resent=10, failures=7, failures_by_kind=(("capacity", 4), ("transport", 3)), reads_by_tier=(("flex", 90),)
        ),
        money=Money(0.0123, 0.001, 1.0, authorised_usd=0.05),
        bottleneck=Bottleneck("daily limit", "TPD is used up"),
    )
    text = shown(held, 100)
    wanted = ["PARKED", "daily limit TPD used up, for 31 s; next try in 12 s", "the API keeps failing", "8 of 64 requests in flight"]
    wanted += ["10 sent again (5.0 %)", "4 × no room in the flex tier (498)", "3 × no connection, lost or late", "reads: flex 90"]
    wanted += ["$0.0010 reserved", "$0.0500 on record", "daily limit  TPD is used up"]
    assert not [words for words in wanted if words not in text]


def test_a_run_that_is_not_known_yet_is_not_shown_as_if_it_were() -> None:
    text = shown(replace(LIVE, run=RunInfo()), 80)
    assert "run unknown yet" in text
    assert "1,500" not in text


def test_what_a_run_printed_is_shown_without_secrets(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntwo\nrefused gsk_key\n")
    Secret("gsk_key")
    launch = Launch(cast("subprocess.Popen[bytes]", None), log)
    assert launch.tail(2) == "two\nrefused [hidden]"


@pytest.mark.parametrize("snapshot", [STRANGE, MetricsSnapshot(as_of=0.0)])
def test_every_number_can_be_shown(snapshot: MetricsSnapshot) -> None:
    text = shown(snapshot)
    assert "EMULATOR" not in text
    assert not [word for word in ("nan", "inf ", "None") if word in text]


def test_the_page_is_started_with_its_place_and_its_names() -> None:
    wanted = settings(8502, "127.0.0.1", ["lab.example"])
    known = {option.env_var for option in config._config_options_template.values()}
    assert not set(wanted) - known, "an option that Streamlit does not know is silently without effect"
    assert wanted["STREAMLIT_SERVER_ADDRESS"] == "127.0.0.1"
    assert wanted["STREAMLIT_SERVER_ALLOWED_HOSTS"] == "localhost 127.0.0.1 lab.example"


def test_a_taken_port_is_said_before_an_address_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Taken:
        def __enter__(self) -> "Taken":
            return self

        def __exit__(self, *_: object) -> None: ...
        def setsockopt(self, *_: object) -> None: ...
        def bind(self, place: object) -> None:
            raise OSError(98, "Address already in use")

    monkeypatch.setattr("helix_ray.cli.monitor.socket.socket", lambda *_: Taken())
    with pytest.raises(StartError, match=r"port 8501: Address already in use\. .* helix monitor --port 8502"):
        check_free("127.0.0.1", 8501)
