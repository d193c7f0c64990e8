"""What pages are made of: escaped markup, tables and figures that carry the emulator's label themselves, and inline SVG.

A table or figure that is cut out or copied still says what it shows. Colours come from the page's style, light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from helix_ray.results.formatting import interval, share

VOID = frozenset({"meta", "br"})  # elements that have no end


class Html(str):
    """Markup that was made here."""

    __slots__ = ()


Child = Html | str | int | None


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """One element. Attributes that are None are left out; ``class_`` is class, other underscores are hyphens."""
    written = "".join(
        f' {"class" if key == "class_" else key.replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    return Html("".join(child if isinstance(child, Html) else text(str(child)) for child in children if child is not None))


def text(outside: str) -> Html:
    """Escaped; control characters and what would turn the direction of writing are shown as their code."""
    return Html(escape("".join(char if char.isprintable() or char == "\n" else f"\\u{ord(char):04x}" for char in outside)))


LABEL = "EMULATOR: scripted error rates"


@dataclass(frozen=True, slots=True)
class Row:
    """The first cell is the row's heading; the others are made by `cell` and its like."""

    name: Child
    cells: Sequence[Html]
    is_sum: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """What every table and figure of one page has in common."""

    simulated: bool

    def badge(self) -> Html | None:
        return tag("span", LABEL, class_="badge") if self.simulated else None

    def table(self, title: str, head: Sequence[str], rows: Iterable[Row], about: str | None = None, *, dense: bool = False) -> Html:
        """``head``: of every column, or nothing; columns after the first hold numbers, and one without a name holds a plot."""
        heads = [tag("th", name, scope="col", class_="num" if index and name else None) for index, name in enumerate(head)]
        body = [tag("tr", tag("th", row.name, scope="row"), *row.cells, class_="sum" if row.is_sum else None) for row in rows]
        caption = tag("caption", title, self.badge(), _small(about))
        thead = tag("thead", tag("tr", *heads)) if heads else None
        return tag("div", tag("table", caption, thead, tag("tbody", *body), class_="dense" if dense else None), class_="card")

    def figure(self, title: str, drawing: Html, about: str | None = None) -> Html:
        return tag("div", tag("figure", tag("figcaption", title, self.badge(), _small(about)), drawing), class_="card")


def section(title: str, lead: str | None, *content: Child) -> Html:
    return tag("section", tag("h2", title), tag("p", lead, class_="lead") if lead else None, *content)


def cell(value: Child) -> Html:
    return tag("td", value, class_="num")


def plain(value: Child) -> Html:
    return tag("td", value)


def measure(value: float | None, bounds: Sequence[float] | None = None) -> Html:
    """A number between 0 and 1 over its interval."""
    return cell(join(share(value), tag("span", interval(bounds), class_="ci") if bounds else None))


def heat(value: int, of: int, wrong: bool = False) -> Html:
    """A count and its share of a row, which is also how dark the cell is."""
    part = value / of if of else 0.0
    inner = join(f"{value:,}", tag("span", f"{100 * part:.1f} %", class_="ci") if value else None)
    return tag("td", inner, class_="num heat bad" if wrong else "num heat", style=f"--part:{part:.3f}")


def _small(about: str | None) -> Html | None:
    return tag("span", about, class_="about") if about else None


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
            x, y, kind = _n(middle - step * 0.34), _n(base - tall), "bar" if place else "bar place"
            content.append(tag("rect", x=x, y=y, width=_n(step * 0.68), height=_n(tall), rx=2, class_=kind))
            content.append(_text(middle, base - tall - 5, f"{count:,}", "middle", strong=True))
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


def _text(x: float, y: float, label: str, anchor: str, strong: bool = False) -> Html:
    return tag("text", join(label), x=_n(x), y=_n(y), text_anchor=anchor, class_="strong" if strong else None)


def _n(value: float) -> str:
    return f"{value:.1f}"
