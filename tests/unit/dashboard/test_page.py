"""The whole page, drawn by Streamlit without a browser, with a client that does what a test tells it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import helix_ray._dashboard
from helix_ray._dashboard import shared
from helix_ray._dashboard.feed import Feed
from helix_ray.errors import AttachError, DatabaseLostError, MissingSecretError
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
from helix_ray.records import Ack, Command

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
        self.launched = None
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
        shown = [*self.app.text, *self.app.info, *self.app.warning, *self.app.error, *self.app.caption]
        return "\n".join(str(element.value) for element in shown)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    client, clock = Client(), Clock()
    feed, page = Feed(client, clock), Page(client, clock)  # type: ignore[arg-type]
    monkeypatch.setattr(shared, "feed", lambda: feed)
    monkeypatch.setattr(shared, "in_control", lambda *, use=False: page.in_control)
    yield page
    feed.close()


def test_empty(page: Page) -> None:
    app = page.draw()
    assert "No samples yet" in page.words
    assert not app.metric
    assert app.button(key="start").disabled


def test_live(page: Page) -> None:
    page.client.now = LIVE
    app = page.draw()
    assert "RUNNING: the queue is full" in page.words
    assert "run-1" in page.words
    assert "2023-11-14 22:13:20 UTC" in page.words
    assert "EMULATOR" in page.words
    assert "not yet in effect" in page.words
    assert {metric.label: metric.value for metric in app.metric}["Waiting reads"] == "500 / 500"
    assert len(app.get("echarts_chart")) == 2
    assert [app.button(key=key).disabled for key in ("pause", "spike", "drain")] == [True] * 3


def test_outside_text_stands_in_text_cells_only(page: Page) -> None:
    page.client.now = replace(LIVE, run=replace(LIVE.run, name=HOSTILE), reason=HOSTILE)
    app = page.draw()
    by_markdown = [*app.markdown, *app.caption, *app.metric, *app.info, *app.warning, *app.error, *app.header, *app.subheader]
    assert not [element for element in by_markdown if "evil.test" in f"{element.value}{getattr(element, 'label', '')}"]
    assert any("evil.test" in frame.value.to_csv() for frame in app.dataframe)


def test_nothing_known_and_not_a_number(page: Page) -> None:
    strange = replace(LIVE, rates=Rates(float("nan"), None, float("inf")), money=Money(float("nan"), 0.0, None), throttle=ThrottleView())
    page.client.now = strange
    app = page.draw()
    assert {metric.label: metric.value for metric in app.metric}["Ingestion rate"] == "– reads/s"


def test_stale(page: Page) -> None:
    page.client.now = LIVE
    page.unlocked()
    page.client.now, page.client.driver_lives = AttachError("metrics does not answer"), True
    app = page.draw()
    assert "has not answered for 10 seconds" in page.words
    assert app.metric, "the last picture stays"
    assert app.button(key="pause").disabled
    page.client.now = LIVE
    app = page.draw()
    assert "has not answered" not in page.words
    assert not app.button(key="pause").disabled


def test_finished(page: Page) -> None:
    page.client.now = LIVE
    page.draw()
    page.client.now, page.client.before = AttachError("no live run"), replace(LIVE, state="COMPLETE", reason="the run has ended")
    app = page.unlocked()
    assert "COMPLETE" in page.words
    assert "the last one, as the database has it" in page.words
    assert not app.button(key="start").disabled


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
    assert not app.metric
    assert not app.dataframe
    assert app.button(key="pause").disabled
    assert app.button(key="stop").disabled
    page.client.now = LIVE
    app = page.draw()
    assert "Run unknown yet" not in page.words
    assert "EMULATOR" in page.words


def test_an_external_database_without_its_address_is_named(page: Page) -> None:
    page.client.now = LIVE
    page.draw()
    page.client.now, page.client.before = AttachError("no live run"), MissingSecretError("DATABASE_URL is missing")
    page.draw()
    assert "DATABASE_URL is missing" in page.words
