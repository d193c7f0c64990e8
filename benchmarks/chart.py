"""A chart file without a plotting library: grouped bars on a logarithmic axis or one of percent, as SVG."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

COLOURS = ("#0072b2", "#56b4e9", "#e69f00", "#d55e00", "#009e73", "#cc79a7")
"""Okabe and Ito's, which colour-blind readers can tell apart."""
ROW, GAP, LEFT, WIDTH, RIGHT, TOP = 18, 14, 170, 520, 90, 56


def bars(path: Path, title: str, axis: str, groups: dict[str, dict[str, float]], percent: bool = False) -> None:
    """``groups``: for each group the value of each thing that is compared, above 0 or, with ``percent``, 0 to 100; all have
    the same things.
    """
    names = list(next(iter(groups.values())))
    values = [value for group in groups.values() for value in group.values()]
    if percent:
        marks = {float(mark): mark * WIDTH / 100 for mark in range(0, 101, 20)}
    else:
        least, most = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        marks = {10.0**power: (power - least) * WIDTH / max(1, most - least) for power in range(least, most + 1)}
    bottom = TOP + len(groups) * (len(names) * ROW + GAP)
    parts = [_text(LEFT, 20, title, "font-size='15' font-weight='bold'")]
    for mark, offset in marks.items():
        x = LEFT + offset
        parts.append(f"<line x1='{x}' y1='{TOP - 8}' x2='{x}' y2='{bottom}' stroke='#ddd'/>")
        parts.append(_text(x, bottom + 16, f"{mark:g}", "text-anchor='middle'"))
    parts.append(_text(LEFT + WIDTH / 2, bottom + 36, axis, "text-anchor='middle'"))
    y: float = TOP
    for group, compared in groups.items():
        parts.append(_text(8, y + 13, group, "font-weight='bold'"))
        for name, colour in zip(names, COLOURS, strict=False):
            value = compared[name]
            share = value / 100 if percent else (math.log10(value) - least) / max(1, most - least)
            length = max(1.0, share * WIDTH)
            parts.append(f"<rect x='{LEFT}' y='{y}' width='{length:.1f}' height='{ROW - 4}' fill='{colour}'/>")
            parts.append(_text(LEFT + length + 5, y + 11, f"{value:.3g}  {name}"))
            y += ROW
        y += GAP
    size = f"width='{LEFT + WIDTH + RIGHT}' height='{bottom + 48}'"
    path.parent.mkdir(parents=True, exist_ok=True)
    style = "font-family='sans-serif' font-size='12' style='background:white'"
    path.write_text(f"<svg xmlns='http://www.w3.org/2000/svg' {size} {style}>\n" + "\n".join(parts) + "\n</svg>\n")


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' {attributes}>{escape(text)}</text>"
