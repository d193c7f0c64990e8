"""Pieces of HTML. Whatever comes in as text goes out escaped: names and answers are not ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

UNKNOWN = "–"
NO_BREAK = "\u00a0"


def text(value: object) -> str:
    return escape(str(value), quote=True)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], *, label: str = "") -> str:
    """Cells are text; all but the first of a row stand to the right. ``label`` marks results that are not a model's."""
    lines = [f"<table><caption>{_label(label)}{text(caption)}</caption>"]
    if head:
        lines.append("<thead><tr>" + "".join(f'<th scope="col">{text(name)}</th>' for name in head) + "</tr></thead>")
    lines.append("<tbody>")
    for first, *rest in rows:
        lines.append(f'<tr><th scope="row">{text(first)}</th>' + "".join(f"<td>{text(cell)}</td>" for cell in rest) + "</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def figure(caption: str, picture: str, *, label: str = "") -> str:
    return f"<figure>{picture}<figcaption>{_label(label)}{text(caption)}</figcaption></figure>"


def section(title: str, *parts: str) -> str:
    body = "\n".join(part for part in parts if part)
    return f"<section><h2>{text(title)}</h2>\n{body}\n</section>" if body else ""


def paragraph(words: str, kind: str = "") -> str:
    attribute = f' class="{text(kind)}"' if kind else ""
    return f"<p{attribute}>{text(words)}</p>"


def share(value: float | None, digits: int = 1) -> str:
    return UNKNOWN if value is None else f"{100 * value:.{digits}f}{NO_BREAK}%"


def with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    """``87.0 % (85.7 to 88.3)``, never broken over two lines."""
    if value is None or interval is None:
        return share(value)
    return f"{share(value)} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})".replace(" ", NO_BREAK)


def count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _label(label: str) -> str:
    return f'<strong class="label">{text(label)}</strong> ' if label else ""
