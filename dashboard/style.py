"""The page's looks: the palette that report and page share, following the theme that the viewer has chosen in Streamlit."""

from __future__ import annotations

from functools import cache
from pathlib import Path

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
