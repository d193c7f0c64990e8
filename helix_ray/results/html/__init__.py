"""The report as one self-contained HTML page: no script, nothing from elsewhere, every outside text escaped."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from helix_ray import theme
from helix_ray.results import formatting
from helix_ray.results.accuracy import compared, crossed
from helix_ray.results.schema import MEASURES, Report
from helix_ray.scoring import scores
from helix_ray.scoring.proximity import MISTAKES
from helix_ray.scoring.statistics import jeffreys

__all__ = ["register", "render_html", "style", "template"]

Columns = Mapping[str, Any]  # the report's history


def render_html(report: Report) -> str:
    """A whole document, made of the report's JSON and nothing else."""
    found, every = report["accuracy"], report["accuracy_all_differences"]
    rows, all_rows = compared(found, report["ceiling"]) if found else [], compared(every, None) if every else []
    return template("report.html").render(report=report, rows=rows, all_rows=all_rows, history=report["history"])


def template(name: str) -> Template:
    """For `render_html`, and for tests of its parts."""
    return _environment().get_template(name)


def register(**filters: Callable[..., object]) -> None:
    """Filters of the templates of another module."""
    _environment().filters.update(filters)


@cache
def style() -> str:
    """Of pages and of drawings that are files of their own."""
    return f"{theme.css()}\n{files(__package__).joinpath('style.css').read_text(encoding='utf-8')}"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("helix_ray.results.html", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        name: getattr(formatting, name) for name in ("share", "interval", "percent", "percents", "failures", "named", "shares", "cut_off")
    } | {
        "number": formatting.count,
        "n": "{:.1f}".format,
        "as_text": _as_text,
        "by_level": _by_level,
        "crossed": crossed,
        "flat": _flat,
        "span": _span,
        "stretches": _stretches,
        "top": _top,
    }
    made.globals |= {
        "style": Markup(style()),  # noqa: S704  (it is ours)
        "NOTICE": formatting.NOTICE,
        "PURPOSE": formatting.PURPOSE,
        "MEASURES": MEASURES,
        "MISTAKES": MISTAKES,
        "uncertainty": formatting.uncertainty,
        "NOTHING": scores.NOTHING,
        "NO_ANSWER": scores.NO_ANSWER,
        "jeffreys": jeffreys,
    }
    return made


def _shown(value: object) -> Markup:
    """Escaped; None is a dash; control characters and what would turn the direction of writing are shown as their code."""
    if isinstance(value, Markup):
        return value
    text = formatting.UNKNOWN if value is None else str(value)
    seen = "".join(char if char.isprintable() or char == "\n" else f"\\u{ord(char):04x}" for char in text)
    return Markup(escape(seen))  # noqa: S704  (escaped here)


def _as_text(value: object) -> str:
    """Texts as they are, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _by_level(levels: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Numbers in names by their size: 5-6 before 11+."""

    def natural(level: str) -> list[tuple[int, float, str]]:
        pieces = re.findall(r"\d+(?:\.\d+)?|\D+", level)
        return [(0, float(piece), "") if piece[0].isdigit() else (1, 0.0, piece) for piece in pieces]

    return sorted(levels.items(), key=lambda item: natural(item[0]))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``throttle.max_cost_usd`` and the like, with their values."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _span(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3.5 h``."""
    return f"{seconds:.0f} s" if seconds < 180 else f"{seconds / 60:.0f} min" if seconds < 10_800 else f"{seconds / 3600:.1f} h"


def _stretches(history: Columns, keys: Sequence[str]) -> list[str]:
    """The sum of these columns by second of the run, as points of SVG: one text for each stretch in which it is known."""
    found: list[list[str]] = [[]]
    began, last = history["t"][0] - history["step_s"], math.inf
    for t, value in zip(history["t"], _sums(history, keys), strict=True):
        if value is None or t - last > 3 * history["step_s"]:
            found.append([])
        if value is not None:
            found[-1].append(f"{t - began:.1f},{value:.6g}")
            last = t
    return [" ".join(points) for points in found if points]


def _top(history: Columns, curves: Sequence[Sequence[str]], bound: float) -> float:
    """The end of the axis: 1, 2 or 5 times a power of ten, at or above every value. 0: they are all 0."""
    most = max((value or 0.0 for keys in curves for value in _sums(history, keys)), default=0.0)
    if not most:
        return 0.0
    most = max(most, bound)
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most)


def _sums(history: Columns, keys: Sequence[str]) -> list[float | None]:
    rows = zip(*(history[key] for key in keys), strict=True)
    return [None if None in row else sum(row) for row in rows]
