"""How the page is drawn: by the templates beside this file, in the palette that report and page share."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from helix_ray._dashboard import words
from helix_ray.records import left_out
from helix_ray.theme import DARK, FONTS, LIGHT

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32' fill='none' stroke='%231f5fbf' stroke-width='4' "
    "stroke-linecap='round'%3E%3Cpath d='M9 3c0 13 14 13 14 26M23 3c0 13-14 13-14 26M12 9h8M12 23h8'/%3E%3C/svg%3E"
)
"""A double helix, of our own: nothing is asked of another host."""


@cache
def style() -> str:
    """One style element. ``light-dark`` asks the element for its scheme, which Streamlit sets by its theme, not by the system's."""
    colours = " ".join(f"--{meaning}: light-dark({LIGHT[meaning]}, {DARK[meaning]});" for meaning in LIGHT)
    fonts = " ".join(f"--font-{name}: {value};" for name, value in FONTS.items())
    return f"<style>.stApp {{ {colours} {fonts} }}\n{Path(__file__).with_name('page.css').read_text()}</style>"


@cache
def macros(template: str) -> Any:
    """What ``template`` can draw, as its attributes: each takes values and gives HTML in which every text is escaped."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("number", "rate", "percent", "usd", "spelled", "about", "clock", "clock_short")
    made.filters |= {name: getattr(words, name) for name in names} | {"part": _part, "whole": _whole, "left_out": left_out}
    return made.get_template(template).module


def shown(value: object) -> str:
    """None is a dash; control characters and what would turn the direction of writing are shown as their code."""
    if isinstance(value, Markup):
        return value
    text = words.UNKNOWN if value is None else str(value)
    return text if text.isprintable() else "".join(char if char.isprintable() or char == "\n" else f"\\u{ord(char):04x}" for char in text)


def _part(share: float | None) -> str:
    """A share as CSS takes it, 0 to 1."""
    return f"{min(1.0, max(0.0, share)) if share is not None and math.isfinite(share) else 0.0:.4f}"


def _whole(share: float | None) -> str:
    """Percent without a fraction or a sign."""
    return words.UNKNOWN if share is None else f"{100 * share:.0f}"
