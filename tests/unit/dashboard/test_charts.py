"""The chart of queue and rates."""

import json
import math

import pytest

from helix_ray._dashboard import charts
from helix_ray.metrics.snapshot import CommandView, HistoryPoint


def point(t: float, waiting: int | None = 5, offered: float | None = 1.0, blocked: bool = False, step_s: float = 1.0) -> HistoryPoint:
    return HistoryPoint(t, waiting, 1, 2, offered, None, math.nan, 0, 0.0, blocked, False, step_s=step_s)


def drawn(points: list[HistoryPoint], commands: list[CommandView] | None = None, span_s: float = 600.0) -> charts.Spec:
    return charts.timeline(points, commands or [], 500, 80, span_s)[0]["baseOption"]


def test_the_line_breaks_where_nothing_was_heard() -> None:
    spec = drawn([point(2), point(4), point(20, 499)])
    assert spec["dataset"]["source"] == [
        [2000, 6, 1.0, None, None],
        [4000, 6, 1.0, None, None],
        [4001, *[None] * 4],
        [20_000, 500, 1.0, None, None],
    ]
    assert not any(series["connectNulls"] for series in spec["series"])


@pytest.mark.parametrize("points", [[], [point(1)], [point(1, offered=None), point(2, None, math.inf)]])
def test_the_chart_is_valid_json_whatever_the_numbers(points: list[HistoryPoint]) -> None:
    spec, words = charts.timeline(points, [], 500, 100)
    json.dumps(spec, allow_nan=False)
    assert "nan" not in words
    assert spec["baseOption"]["animation"] is False


def test_time_is_utc_on_both_axes_and_their_tooltips_go_together() -> None:
    spec = drawn([point(1)])
    assert spec["useUTC"] is True
    assert [axis["type"] for axis in spec["xAxis"]] == ["time", "time"]
    assert spec["axisPointer"] == {"link": [{"xAxisIndex": "all"}]}


def test_blocked_time_is_shaded_and_the_levels_are_named() -> None:
    queue = drawn([point(t, blocked=4 <= t <= 8) for t in range(2, 20, 2)])["series"][0]
    assert queue["markArea"]["data"] == [[{"xAxis": 3000}, {"xAxis": 10_000}]]
    assert [(line["yAxis"], line["label"]["formatter"]) for line in queue["markLine"]["data"]] == [(500, "full 500"), (80, "goes on 80")]


def test_every_command_has_its_marker() -> None:
    commands = [CommandView("rate", 12.0, 5.0, accepted=False), CommandView("pause", None, 4.0), CommandView("stop", None, -700.0)]
    spec, words = charts.timeline([point(10)], commands, 500, 100)
    marks = spec["baseOption"]["series"][1]["markLine"]["data"]
    assert [(mark["xAxis"], mark["label"]["formatter"]) for mark in marks] == [(5000, "≈ rate 12 refused"), (4000, "‖ pause")]
    assert words.endswith("commands: ≈ rate 12 refused, ‖ pause")


@pytest.mark.parametrize("span_s", charts.SPANS.values())
def test_what_is_sent_is_bounded_and_keeps_the_deepest_queue(span_s: float) -> None:
    points = [point(t, t % 400, blocked=t == 86_390) for t in range(1, 86_401)]
    kept = charts.thin(points, span_s)
    assert charts.POINTS - 1 <= len(kept) <= charts.POINTS + 1
    assert any(one.blocked for one in kept)
    assert max(one.waiting or 0 for one in kept) == 399
    assert kept[0].t > 86_400 - span_s


def test_half_minutes_are_no_gaps_of_the_day() -> None:
    spec = drawn([point(t, step_s=30.0) for t in range(0, 3000, 30)], span_s=86_400.0)
    assert None not in [row[1] for row in spec["dataset"]["source"]]
