"""Inline SVG: an interval on a track, and square and bar charts. Colours come from the page's style, light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from helix_ray.results.html.tags import Html, join, tag

TRACK, SIDE, MARGIN = 132.0, 300.0, 44.0


def svg(width: float, height: float, label: str, *content: Html) -> Html:
    return tag("svg", tag("title", label), *content, viewBox=f"0 0 {width:g} {height:g}", width=width, height=height, role="img")


def interval_plot(value: float | None, bounds: Sequence[float] | None, ceiling: float | None, label: str) -> Html:
    """A value of 0..1 as a dot, its interval as a line through it, the ceiling as a tick."""
    left, width, y = 5.0, TRACK - 10, 9.0
    marks = [tag("line", x1=left, y1=y, x2=left + width, y2=y, class_="track")]
    if ceiling is not None:
        marks.append(_line(left + width * ceiling, y - 7, left + width * ceiling, y + 7, "ceiling"))
    if value is not None:
        if bounds:
            marks.append(_line(left + width * bounds[0], y, left + width * bounds[1], y, "whisker"))
        marks.append(tag("circle", cx=_n(left + width * value), cy=y, r=3.5, class_="dot"))
    return svg(TRACK, 18, label, *marks)


class Square:
    """A chart with both axes from 0 to 1."""

    def __init__(self, label: str, x_name: str, y_name: str) -> None:
        self._label = label
        self._content = [*_frame(), _text(MARGIN + SIDE / 2, SIDE + 50, x_name, "middle"), _text(0, 8, y_name, "start")]

    def diagonal(self) -> None:
        self._content.append(_line(*_at(0, 0), *_at(1, 1), "ideal"))

    def dot(self, x: float, y: float, radius: float, label: str, small: bool = False) -> None:
        cx, cy = _at(x, y)
        self._content.append(tag("circle", tag("title", label), cx=_n(cx), cy=_n(cy), r=_n(radius), class_="dot small" if small else "dot"))

    def whisker(self, x: float, low: float, high: float) -> None:
        self._content.append(_line(*_at(x, low), *_at(x, high), "whisker"))

    def steps(self, points: Sequence[tuple[float, float]]) -> None:
        """From point to point, first along x."""
        corners: list[tuple[float, float]] = []
        for point in points:
            if corners:
                corners.append((point[0], corners[-1][1]))
            corners.append(point)
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in (_at(*corner) for corner in corners))
        self._content.append(tag("polyline", points=path, class_="curve"))

    def done(self) -> Html:
        return svg(MARGIN + SIDE + 16, SIDE + 56, self._label, *self._content)


def bar_chart(counts: Mapping[int, int], places: Sequence[int], x_name: str, label: str) -> Html:
    """One bar a place, its number above it; the bar at 0 stands apart by its colour."""
    width, height, base = 420.0, 190.0, 150.0
    step, most = width / len(places), max([1, *(counts.get(place, 0) for place in places)])
    content = [_line(0, base, width, base, "axis")]
    for index, place in enumerate(places):
        count, middle = counts.get(place, 0), step * (index + 0.5)
        tall = (base - 24) * count / most
        if count:
            shape = tag("rect", x=_n(middle - step * 0.34), y=_n(base - tall), width=_n(step * 0.68), height=_n(tall), rx=2,
                        class_="bar" if place else "bar place")  # fmt: skip
            content += [shape, _text(middle, base - tall - 5, f"{count:,}", "middle", strong=True)]
        content.append(_text(middle, base + 16, f"{place:+d}" if place else "0", "middle"))
    return svg(width, height, label, *content, _text(width / 2, height - 4, x_name, "middle"))


def _frame() -> list[Html]:
    marks = []
    for tenth in (0, 2, 4, 6, 8, 10):
        share = tenth / 10
        marks += [_line(*_at(share, 0), *_at(share, 1), "grid"), _line(*_at(0, share), *_at(1, share), "grid")]
        (x, bottom), (left, y) = _at(share, 0), _at(0, share)
        marks += [_text(x, bottom + 16, f"{share:.1f}", "middle"), _text(left - 8, y + 4, f"{share:.1f}", "end")]
    return marks


def _at(x: float, y: float) -> tuple[float, float]:
    return MARGIN + SIDE * x, 18 + SIDE * (1 - y)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Html:
    return tag("line", x1=_n(x1), y1=_n(y1), x2=_n(x2), y2=_n(y2), class_=kind)


def _text(x: float, y: float, words: str, anchor: str, strong: bool = False) -> Html:
    return tag("text", join(words), x=_n(x), y=_n(y), text_anchor=anchor, class_="strong" if strong else None)


def _n(value: float) -> str:
    return f"{value:.1f}"
