"""Tables and figures that carry the emulator's label themselves: one that is cut out or copied still says what it shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from helix_ray.results.html.tags import Child, Html, join, tag
from helix_ray.results.words import interval, share

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
        body = [
            tag("tr", tag("th", row.name, scope="row"), *row.cells, class_="sum" if row.is_sum else None)
            for row in rows
        ]  # fmt: skip
        return tag(
            "div",
            tag(
                "table",
                tag("caption", title, self.badge(), _about(about)),
                tag("thead", tag("tr", *heads)) if heads else None,
                tag("tbody", *body),
                class_="dense" if dense else None,
            ),
            class_="card",
        )

    def figure(self, title: str, drawing: Html, about: str | None = None) -> Html:
        return tag("div", tag("figure", tag("figcaption", title, self.badge(), _about(about)), drawing), class_="card")


def section(title: str, lead: str | None, *content: Child) -> Html:
    return tag("section", tag("h2", title), tag("p", lead, class_="lead") if lead else None, *content)


def cell(value: Child) -> Html:
    return tag("td", value, class_="num")


def words(value: Child) -> Html:
    return tag("td", value)


def measure(value: float | None, bounds: Sequence[float] | None = None) -> Html:
    """A number between 0 and 1 over its interval."""
    return cell(join(share(value), tag("span", interval(bounds), class_="ci") if bounds else None))


def heat(value: int, of: int, wrong: bool = False) -> Html:
    """A count and its share of a row, which is also how dark the cell is."""
    part = value / of if of else 0.0
    inner = join(f"{value:,}", tag("span", f"{100 * part:.1f} %", class_="ci") if value else None)
    return tag("td", inner, class_="num heat bad" if wrong else "num heat", style=f"--part:{part:.3f}")


def _about(words: str | None) -> Html | None:
    return tag("span", words, class_="about") if words else None
