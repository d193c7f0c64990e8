"""One picture for all viewers, without ever making one wait."""

import threading
from collections.abc import Iterator

import pytest

from helix_ray._dashboard.feed import ALL_AGAIN_S, Feed
from helix_ray.errors import AttachError
from helix_ray.metrics.snapshot import HistoryPoint, MetricsSnapshot, RunInfo

SNAPSHOT = MetricsSnapshot(as_of=1.0, run=RunInfo("a"))


def point(t: float) -> HistoryPoint:
    return HistoryPoint(t, 0, 0, 0, None, None, None, 0, 0.0, False, False)


class Client:
    def __init__(self) -> None:
        self.run_id = "a"
        self.calls = 0
        self.asked_since: list[float] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def snapshot(self) -> MetricsSnapshot:
        self.calls += 1
        self.may_answer.wait(30)
        if not self.run_id:
            raise AttachError("gone")
        return MetricsSnapshot(as_of=1.0, run=RunInfo(self.run_id.strip()))

    def history(self, since: float) -> list[HistoryPoint]:
        self.asked_since.append(since)
        return [point(t) for t in (1.0, 2.0) if t > since]

    def past(self) -> MetricsSnapshot | None:
        return None

    def is_live(self) -> bool:
        return True


class Rig:
    def __init__(self) -> None:
        self.now = 100.0
        self.client = Client()
        self.feed = Feed(self.client, lambda: self.now)  # type: ignore[arg-type]


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.client.may_answer.set()
    made.feed.close()


def test_many_viewers_cost_one_call(rig: Rig) -> None:
    for _ in range(50):
        assert rig.feed.latest().live
    assert rig.client.calls == 1


def test_a_slow_run_leaves_the_last_picture_and_its_age(rig: Rig) -> None:
    rig.feed.latest()
    rig.client.may_answer.clear()
    rig.now += 5
    view = rig.feed.latest()
    assert (view.live, view.age_s, view.stale) == (True, 5.0, True)
    rig.feed.latest()
    assert rig.client.calls == 2, "a call under way is not doubled"


def test_history_is_asked_for_piece_by_piece_and_begins_anew_with_another_run(rig: Rig) -> None:
    rig.feed.latest()
    rig.now += 1
    assert len(rig.feed.latest().history) == 2
    rig.client.run_id = "b"
    rig.now += 1
    assert len(rig.feed.latest().history) == 2
    assert rig.client.asked_since == [0.0, 2.0, 2.0, 0.0]


def test_metrics_that_do_not_know_their_run_yet_cost_no_history(rig: Rig) -> None:
    rig.feed.latest()
    rig.client.run_id = " "
    rig.now += 1
    assert len(rig.feed.latest().history) == 2
    rig.client.run_id = "a"
    rig.now += 1
    assert len(rig.feed.latest().history) == 2
    assert rig.client.asked_since == [0.0, 2.0, 2.0]


def test_a_run_that_does_not_answer_is_not_taken_for_ended_while_its_driver_lives(rig: Rig) -> None:
    rig.feed.latest()
    rig.client.run_id = ""
    rig.now += 5
    view = rig.feed.latest()
    assert (view.live, view.problem, view.stale) == (True, "gone", True)


def test_a_dead_driver_is_said_before_the_database_answers(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.feed.latest()
    rig.client.run_id = ""
    may_answer = threading.Event()
    monkeypatch.setattr(rig.client, "is_live", lambda: False)
    monkeypatch.setattr(rig.client, "past", lambda: may_answer.wait(30) and SNAPSHOT)
    rig.now += 1
    view = rig.feed.latest()
    assert (view.live, view.lost, view.age_s, view.snapshot) == (False, True, 1.0, SNAPSHOT)
    may_answer.set()
    rig.feed._fetching.result(30)  # type: ignore[union-attr]
    view = rig.feed.latest()
    assert (view.lost, view.snapshot, len(view.history)) == (False, SNAPSHOT, 2)


def test_all_history_is_asked_for_now_and_then_so_that_old_seconds_become_half_minutes(rig: Rig) -> None:
    rig.feed.latest()
    rig.now += ALL_AGAIN_S
    assert len(rig.feed.latest().history) == 2
    assert rig.client.asked_since == [0.0, 0.0]
