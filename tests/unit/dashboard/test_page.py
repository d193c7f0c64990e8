"""The whole page, drawn by Streamlit without a browser, with a client that does what a test tells it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import escape
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import helix_ray._dashboard
from helix_ray._dashboard import live, shared
from helix_ray._dashboard.feed import Feed
from helix_ray.client import DryRun
from helix_ray.client.client import Launch
from helix_ray.client.stored import Compared, Crossed, DeadLetter, ReadStory, RunBooks, RunCounts, RunSummary, StoredRun
from helix_ray.errors import AttachError, ConfigError, DatabaseLostError, MissingSecretError
from helix_ray.metrics.recent import RecentRead
from helix_ray.metrics.snapshot import (
    ActorView,
    BucketView,
    ControlView,
    HistoryPoint,
    MetricsSnapshot,
    Money,
    QueueView,
    Rates,
    RunInfo,
    ThrottleView,
)
from helix_ray.records import (
    Ack,
    ApiCall,
    CallState,
    Command,
    ControlEvent,
    ControlOutcome,
    Disposition,
    Read,
    ReadResult,
    RunStatus,
    ScoredVariant,
)

AT = datetime(2023, 11, 14, 22, 13, tzinfo=UTC)
READ = Read(7, "hx7", "chr1", 0, "+", "ACGTACGT", "ACGTTCGT", None, (), True, None, None, None)
CALL = ScoredVariant("call", 5, "A", "T", "SNV", None, 0.9, "ok", "TP", None)
STORY = ReadStory(
    ReadResult(READ, Disposition.STORED, [CALL], True, raw_answer="![x](http://evil.test/x.png) <script>alert(1)</script> $a$"),
    [ApiCall("c", "analysis", 1, [7], CallState.ANSWERED, 200, "m", cost_usd=Decimal("0.0000123"), created_at=AT)],
    "system",
    "user",
)
CONFIG = '{"analyzer": {"model": "m", "prompt": "raw"}, "source": {"count": 70}}'
BOOKS = RunBooks(
    StoredRun(
        "run-1", "<script>", CONFIG, "ab", 1, {"helix_ray": "1"}, None, AT, "m", True, None, RunStatus.RUNNING, 0, 70, Decimal(0), None, ()
    ),
    RunCounts(70, {}, {}, 0, 0, 0, 70, 0, {}, 0, 0, 0, 0, Decimal(0), 0.0, {}, 0, 0),
    [(ControlEvent("r", "pause", "page", AT), ControlOutcome(True, "m", None, None, AT, AT + timedelta(seconds=1)))],
)
APP = Path(helix_ray._dashboard.__file__).with_name("app.py")
HOSTILE = "![x](http://evil.test/x.png) <script>alert(1)</script> $a$"
LIVE = MetricsSnapshot(
    as_of=1_700_000_000.0,
    run=RunInfo("run-1", "demo", "emulator", True, "openai/gpt-oss-20b", 1.0, 1_699_999_000.0, "demo", 2000),
    state="RUNNING",
    reason="the queue is full: producers wait",
    rates=Rates(20.0, 19.0, 18.0),
    queue=QueueView(waiting=500, max_queue_depth=500, blocked=True),
    money=Money(0.01, 0.0, 1.0),
    throttle=ThrottleView((BucketView("requests_per_minute", 1000, 10),)),
    actors=(ActorView("helix-queue", 0.5, 71.0),),
    recent_reads=(RecentRead(1, HOSTILE, "stored", True, (HOSTILE,)),),
    control=ControlView(version=2, adopted=1),
)
POINTS = [HistoryPoint(1_700_000_000.0 + second, 400, 0, 10, 20.0, 19.0, 18.0, 0, 0.01, True, False) for second in range(5)]


class Client:
    """A scripted client: what it answers is set by the test."""

    def __init__(self) -> None:
        self.now: MetricsSnapshot | Exception = AttachError("no live run in /home")
        self.before: MetricsSnapshot | Exception | None = None
        self.driver_lives = False
        self.sent: list[Command] = []
        self.started: list[Path] = []
        self.launched: Launch | None = None
        self.ack = Ack("id", True, 3, "running → paused", "running", "paused")

    def snapshot(self) -> MetricsSnapshot:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    def history(self, since: float = 0.0) -> list[HistoryPoint]:
        return [point for point in POINTS if point.t > since]

    def past(self) -> MetricsSnapshot | None:
        if isinstance(self.before, Exception):
            raise self.before
        return self.before

    def is_live(self) -> bool:
        return self.driver_lives

    def send(self, command: Command) -> Ack:
        self.sent.append(command)
        return self.ack

    def dry_run_of_live(self) -> DryRun:
        return DryRun("emulator", 70, 71, 0.0, 0.0, None, ())

    def start_run(self, path: Path, overrides: tuple[str, ...] = ()) -> int:
        self.started.append(path)
        return 4711


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Page:
    def __init__(self, client: Client, clock: Clock) -> None:
        self.client, self.clock, self.in_control = client, clock, False
        self.app = AppTest.from_file(str(APP), default_timeout=20)

    def draw(self) -> AppTest:
        self.clock.now += 10.0
        self.app.run()
        assert not self.app.exception, self.app.exception
        return self.app

    def unlocked(self) -> AppTest:
        self.in_control = True
        return self.draw()

    @property
    def words(self) -> str:
        return "\n".join([*(str(element.value) for element in (*self.app.text, *self.app.caption)), *self.html])

    @property
    def html(self) -> list[str]:
        bodies = (element.proto.body for element in self.app.get("html"))
        return [body for body in bodies if not body.startswith("<style>")]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    client, clock = Client(), Clock()
    st.cache_data.clear()  # other tests draw the same moment of the same run
    feed, page = Feed(client, clock), Page(client, clock)  # type: ignore[arg-type]
    monkeypatch.setattr(shared, "feed", lambda: feed)
    monkeypatch.setattr(shared, "in_control", lambda *, use=False: page.in_control)
    yield page
    feed.close()


def test_empty(page: Page) -> None:
    page.draw()
    assert "No samples yet" in page.words
    assert "no live run in /home" in page.words
    assert not page.app.get("echarts_chart")


def test_live(page: Page) -> None:
    page.client.now = LIVE
    app = page.draw()
    for word in ("RUNNING", "the queue is full", "22:13:20 UTC", "EMULATOR", "not yet in effect", "500 <small>/ 500", "BLOCKED"):
        assert word in page.words
    assert len(app.get("echarts_chart")) == 1
    assert [app.button(key=key).disabled for key in ("pause", "spike", "drain")] == [True] * 3


def test_one_drawing_serves_all_viewers(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []
    cells = live.panels.cells
    monkeypatch.setattr(live.panels, "cells", lambda view: drawn.append(view.snapshot.as_of) or cells(view))
    page.client.now = LIVE
    second = Page(page.client, page.clock)
    page.draw()
    second.draw()
    assert page.html[1:] == second.html[1:]
    assert drawn == [LIVE.as_of]
    page.client.now = replace(LIVE, as_of=LIVE.as_of + 1)
    second.draw()
    assert drawn == [LIVE.as_of, LIVE.as_of + 1]


def test_details_are_drawn_while_they_are_open(page: Page) -> None:
    page.client.now = LIVE
    page.draw()
    assert "helix-queue" not in page.words
    page.app.segmented_control(key="details").set_value("actors")
    page.draw()
    assert "<td>helix-queue</td>" in page.words


def test_outside_text_is_escaped(page: Page) -> None:
    read = replace(LIVE.recent_reads[0], disposition="dead_letter", error_kind=HOSTILE, ref_seq="ACGT", seq="ACGT")
    named = replace(LIVE, run=replace(LIVE.run, name=HOSTILE), reason=HOSTILE, recent_reads=(read,), recent_alerts=LIVE.recent_reads)
    page.client.now = named
    app = page.draw()
    by_markdown = [*app.markdown, *app.caption, *app.metric, *app.info, *app.warning, *app.error, *app.header, *app.subheader]
    assert not [element for element in by_markdown if "evil.test" in f"{element.value}{getattr(element, 'label', '')}"]
    assert "<script>" not in page.words
    assert page.words.count("&lt;script&gt;") >= 4


def test_stale(page: Page) -> None:
    page.client.now = LIVE
    page.unlocked()
    page.client.now, page.client.driver_lives = AttachError("metrics does not answer"), True
    app = page.draw()
    assert "LAST SEEN RUNNING" in page.words
    assert "has not answered for 10 seconds" in page.words
    assert "hx-cells" in page.words, "the last picture stays"
    assert app.button(key="pause").disabled
    page.client.now = LIVE
    app = page.draw()
    assert "LAST SEEN" not in page.words
    assert not app.button(key="pause").disabled


def test_finished(page: Page) -> None:
    page.client.now = LIVE
    page.draw()
    page.client.now, page.client.before = AttachError("no live run"), replace(LIVE, state="COMPLETE", reason="the run has ended")
    page.unlocked()
    assert "COMPLETE" in page.words
    assert "the last one, as the database has it" in page.words


@pytest.mark.parametrize(("launched_s", "starts"), [(-1.0, False), (1.0, True)], ids=["ending", "starting"])
def test_a_run_that_was_seen_and_is_ending_does_not_look_like_one_that_starts(page: Page, launched_s: float, starts: bool) -> None:
    process = SimpleNamespace(poll=lambda: None)
    began = replace(LIVE, run=replace(LIVE.run, started_at=1000.0), state="STOPPED", reason="the run has ended")
    page.client.launched = Launch(process, Path("run.log"), 1000.0 + launched_s)  # type: ignore[arg-type]
    page.client.before = began
    page.draw()
    assert ("A run is starting" in page.words) == starts
    assert ("STOPPED" in page.words) == (not starts)


def test_a_database_that_does_not_answer(page: Page) -> None:
    page.client.before = DatabaseLostError("postgresql://user:secret@host/db is away")
    page.draw()
    assert "DatabaseLostError" in page.words
    assert "secret" not in page.words


@pytest.mark.parametrize("unlocked", [True, False])
def test_a_run_that_is_not_known_yet_is_not_drawn_as_if_it_were(page: Page, unlocked: bool) -> None:
    page.client.now = replace(LIVE, run=RunInfo())
    app = page.unlocked() if unlocked else page.draw()
    assert "Run unknown yet" in page.words
    assert "hx-cells" not in page.words
    assert app.button(key="pause").disabled
    assert app.button(key="stop").disabled
    page.client.now = LIVE
    page.draw()
    assert "Run unknown yet" not in page.words
    assert "EMULATOR" in page.words


def test_a_run_whose_database_is_not_known_here_is_named_and_stays(page: Page) -> None:
    page.client.now = LIVE
    page.draw()
    page.client.now, page.client.before = AttachError("no live run"), MissingSecretError("DATABASE_URL is missing")
    page.draw()
    assert "DATABASE_URL is missing" in page.words
    assert "LAST SEEN RUNNING" in page.words


class Stored:
    """The database of one read."""

    def __init__(self) -> None:
        self.fails: Exception | None = None

    def read(self, run_id: str, named: str) -> ReadStory | None:
        if self.fails:
            raise self.fails
        return STORY if (run_id, named) == ("run-1", "7") else None

    def confusion(self, run_id: str) -> Crossed | None:
        return Crossed(["DEL", "SNV", "nothing"], [("SNV", [1, 30, 9])])

    def dead_letters(self, run_id: str, limit: int) -> list[DeadLetter]:
        return [DeadLetter(9, HOSTILE, "parse_error", HOSTILE, 5, AT)]

    def books(self, run_id: str) -> RunBooks:
        return BOOKS

    def all(self) -> list[RunSummary]:
        return [RunSummary(run, HOSTILE, "emulator", True, RunStatus.RUNNING, 70, Decimal("0.15"), AT) for run in ("run-1", "run-0")]

    def compare(self, baseline: str, run_id: str) -> Compared:
        if self.fails:
            raise self.fails
        runs = [{"run_id": run, "run_name": HOSTILE} for run in (baseline, run_id)]
        standings = [{"exact": 0.5, "exact_ci": (0.4, 0.6), "f1": None, "f1_ci": None}] * 2
        found = {"runs": runs, "standings": standings, "reads": 70, "margin": 0.01, "warnings": [HOSTILE]}
        return Compared(found, "+1.2 [0.4, 2.0]", HOSTILE, ("0.1500", "–"))  # type: ignore[arg-type]

    def report_page(self, run_id: str) -> Path | None:
        return Path("/home/r.html")


@pytest.fixture
def stored(page: Page, monkeypatch: pytest.MonkeyPatch) -> Stored:
    made = Stored()
    monkeypatch.setattr(shared, "stored", lambda: made)
    page.client.now = LIVE
    return made


def test_records_tell_one_read_from_the_database(page: Page, stored: Stored) -> None:
    page.app = app = AppTest.from_string("from helix_ray._dashboard import records_page\n\nrecords_page.page()")
    page.draw()
    assert "reconciliation" in page.words
    assert page.words.count(f">{escape(HOSTILE)}</td>") == 2, "the id and the words of a dead letter"
    assert "called SNV" not in page.words, "it is counted when it is asked for"
    app.toggle(key="confused").set_value(True).run()
    for shown in ('<th scope="col">missed', '"heat wrong" style="--share:0.2250">9', '"heat" style="--share:0.7500">30'):
        assert shown in page.words
    app.text_input(key="read").set_value("8")
    app.button(key="look_up").click().run()
    assert "No finished read of this run has this index or id: 8" in page.words
    app.text_input(key="read").set_value("7")
    app.button(key="look_up").click().run()
    assert "hx-seq" in page.words
    app.segmented_control(key="part").set_value("requests and their cost").run()
    assert "<td>0.00001230</td>" in page.words
    app.segmented_control(key="part").set_value("raw answer").run()
    assert app.code[0].value == HOSTILE
    stored.fails = DatabaseLostError("postgresql://user:secret@host/db is away")
    app.run()
    assert "The database does not answer (DatabaseLostError)." in page.words
    assert "secret" not in page.words


def test_the_run_page_shows_configuration_commands_and_the_runs_before(page: Page, stored: Stored) -> None:
    page.app = app = AppTest.from_string("from helix_ray._dashboard import run_page\n\nrun_page.page()")
    page.draw()
    assert "/home/r.html" in page.words
    assert '"count": 70' in app.code[0].value
    assert "<td>1.0 s</td>" in page.words
    assert f">{escape(HOSTILE)}</td>" in page.words
    app.button(key="forecast").click().run()
    assert "71 for 70 reads" in "".join(shown.value for shown in app.code)
    assert "<script>" not in page.words


def test_the_shown_run_stands_beside_one_that_is_chosen(page: Page, stored: Stored) -> None:
    page.app = app = AppTest.from_string("from helix_ray._dashboard import run_page\n\nrun_page.runs()")
    page.draw()
    chooser = app.selectbox(key="baseline")
    assert len(chooser.options) == 1, "a run is not compared with itself"
    chooser.select_index(0).run()
    for shown in (
        "<td>50.0 [40.0, 60.0]</td>",
        "<td>–</td>",
        "<td>+1.2 [0.4, 2.0]</td>",
        f">{escape(HOSTILE)} run-0</td>",
        "<td>0.1500</td>",
    ):
        assert shown in page.words
    assert "<script>" not in page.words
    assert app.code[0].value == "helix compare run-0 run-1 --out comparison"
    stored.fails = ConfigError("helix compare", ["run.seed is 42 in run-0 and 7 in run-1"])
    app.run()
    assert "helix compare: run.seed is 42 in run-0 and 7 in run-1" in page.words
    assert app.code[0].value == "helix compare run-0 run-1 --out comparison"
