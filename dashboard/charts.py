"""Queue depth and rates over time, as one chart, so that their tooltips and zoom go together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from helix_ray._dashboard.words import UNKNOWN, number, rate
from helix_ray.metrics.snapshot import CommandView, HistoryPoint
from helix_ray.theme import DARK, LIGHT

Spec = dict[str, Any]

SPANS = {"10 min": 600.0, "1 h": 3_600.0, "24 h": 86_400.0}
POINTS = 300  # that are sent of one span
GAP_S = 2.5  # beyond two steps: a pause that is drawn as a gap, since no report says what was there
SIGNS = {"pause": "‖", "resume": "▶", "rate": "≈", "spike": "▲", "budget": "$", "concurrency": "∥", "drain": "▼", "stop": "■"}
RATES = (("in", "offered", "dashed", "muted"), ("LLM", "analysed", "solid", "accent"), ("stored", "stored", "dotted", "found"))


def thin(points: Sequence[HistoryPoint], span_s: float) -> list[HistoryPoint]:
    """At most some `POINTS` of the last ``span_s`` seconds; of those that fall together the deepest queue and any block."""
    if not points:
        return []
    end, step = points[-1].t, max(1.0, span_s / POINTS)
    kept: dict[int, HistoryPoint] = {}
    for point in points:
        if point.t <= end - span_s:
            continue
        place = math.floor(point.t / step)
        before = kept.get(place)
        if before is None or (bool(point.blocked), point.depth or 0) >= (bool(before.blocked), before.depth or 0):
            kept[place] = point
    return list(kept.values())


def timeline(
    points: Sequence[HistoryPoint],
    commands: Sequence[CommandView],
    capacity: int,
    low_watermark: int,
    span_s: float = 600.0,
    *,
    dark: bool = False,
) -> tuple[Spec, str]:
    """The chart, and its description for readers who cannot see it. All times are UTC."""
    colour = DARK if dark else LIGHT
    shown = thin(points, span_s)
    step_s = max(1.0, span_s / POINTS)
    rows = _rows(shown, step_s)
    begin = shown[-1].t - span_s if shown else 0.0
    told = [it for it in commands if it.asked_at > begin] if shown else []
    text = {"color": colour["muted"], "fontSize": 12}
    depth_max = round(capacity * 1.08)
    axis: Spec = {
        "type": "time",
        "axisLabel": {**text, "hideOverlap": True, "formatter": "{HH}:{mm}:{ss}" if span_s <= 600 else "{HH}:{mm}"},
    }
    if shown:
        axis |= {"min": round(begin * 1000), "max": round(shown[-1].t * 1000)}
    value = {"type": "value", "min": 0, "axisLabel": text, "nameTextStyle": {**text, "align": "left"}, "splitNumber": 3, "nameGap": 8}
    lines = {"type": "line", "showSymbol": False, "connectNulls": False, "animation": False}
    levels = ((capacity, f"full {capacity}", colour["bad"]), (low_watermark, f"goes on {low_watermark}", colour["muted"]))
    series: list[Spec] = [
        {
            **lines,
            "name": "waiting reads",
            "encode": {"x": 0, "y": 1},
            "lineStyle": {"width": 2},
            "color": colour["accent"],
            "areaStyle": {"opacity": 0.12},
            "markLine": _lines("yAxis", levels, "dashed"),
            "markArea": {
                "silent": True,
                "itemStyle": {"color": colour["blocked"], "opacity": 0.22},
                "data": [[{"xAxis": first}, {"xAxis": last}] for first, last in _blocked(shown, step_s)],
            },
        }
    ]
    for place, (name, _, style, meaning) in enumerate(RATES, 2):
        drawn = {"lineStyle": {"width": 2, "type": style}, "color": colour[meaning], "encode": {"x": 0, "y": place}}
        series.append({**lines, "name": name, "xAxisIndex": 1, "yAxisIndex": 1, **drawn})
    if told:
        marks = ((round(it.asked_at * 1000), marker_words(it), colour["invented"]) for it in told)
        series[1]["markLine"] = _lines("xAxis", marks, "solid")
    spec: Spec = {
        "useUTC": True,
        "animation": False,  # a chart that is redrawn every other second must not move between its states
        "dataset": {"source": rows},
        "grid": [{"left": 48, "right": "52%", "top": 34, "bottom": 24}, {"left": "53%", "right": 16, "top": 34, "bottom": 24}],
        "xAxis": [axis, {**axis, "gridIndex": 1}],
        "yAxis": [
            {**value, "name": "waiting reads, amber: blocked", "max": depth_max},
            {**value, "gridIndex": 1, "name": "reads a second"},
        ],
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "tooltip": {"trigger": "axis", "confine": True},
        "legend": {"top": 0, "right": 250, "data": [name for name, *_ in RATES], "textStyle": text, "itemStyle": {"opacity": 0}},
        "series": series,
    }
    grids = [{"left": 44, "right": 12, "top": 32, "height": 56}, {"left": 44, "right": 12, "top": 138, "height": 54}]
    stacked = {"grid": grids, "legend": {"top": 106, "right": 0}}
    return {"baseOption": spec, "media": [{"query": {"maxWidth": 700}, "option": stacked}]}, _words(points, told, capacity)


def _rows(points: Sequence[HistoryPoint], step_s: float) -> list[list[float | int | None]]:
    """Milliseconds, depth and the three rates; a gap's own row of nothing stands just after the last one before it."""
    rows: list[list[float | int | None]] = []
    for before, point in zip([None, *points], points, strict=False):
        if before is not None and _apart(before, point, step_s):
            rows.append([round(before.t * 1000) + 1, None, None, None, None])
        rates = [_finite(getattr(point, field)) for _, field, *_ in RATES]
        rows.append([round(point.t * 1000), point.depth, *rates])
    return rows


def _apart(before: HistoryPoint, after: HistoryPoint, step_s: float) -> bool:
    return after.t - before.t > 2 * max(step_s, after.step_s) + GAP_S


def _finite(value: float | None) -> float | None:
    return round(value, 2) if value is not None and math.isfinite(value) else None


def _blocked(points: Sequence[HistoryPoint], step_s: float) -> Iterable[tuple[int, int]]:
    """From and to, milliseconds, where a producer stood blocked."""
    first: float | None = None
    for point, after in zip(points, [*points[1:], None], strict=False):
        if point.blocked and first is None:
            first = point.t - point.step_s
        if first is not None and (not point.blocked or after is None or _apart(point, after, step_s)):
            yield round(first * 1000), round(point.t * 1000)
            first = None


def _lines(axis: str, lines: Iterable[tuple[float, str, str]], style: str) -> Spec:
    """Lines across a chart at a value of ``axis``, each with its words and its colour."""
    label = {"position": "insideEndTop", "fontSize": 12}
    data = [
        {axis: at, "lineStyle": {"color": colour, "type": style, "width": 1}, "label": {**label, "formatter": words, "color": colour}}
        for at, words, colour in lines
    ]
    return {"silent": True, "symbol": "none", "animation": False, "data": data}


def marker_words(command: CommandView) -> str:
    value = "" if command.value is None else f" {rate(command.value)}"
    refused = " refused" if command.accepted is False else ""
    return f"{SIGNS.get(command.action, '▼')} {command.action}{value}{refused}"


def _words(points: Sequence[HistoryPoint], commands: Sequence[CommandView], capacity: int) -> str:
    last = points[-1] if points else None
    now = UNKNOWN if last is None else number(last.depth)
    rates = ", ".join(f"{name} {rate(None if last is None else getattr(last, field))}" for name, field, *_ in RATES)
    told = f"; commands: {', '.join(marker_words(it) for it in commands)}" if commands else ""
    return f"Queue depth and rates over time, UTC: now {now} of {capacity} reads wait; reads a second: {rates}{told}"
