"""Colours and type of everything that people look at, named by what they mean: the live page and the report are one house.

Each colour but `line` and the fills has a contrast of at least 4.5 : 1 on both grounds, so it may be text as well as a mark.
Found, missed and invented, and the states of a stage, also differ for readers who do not tell red from green.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

Palette = Mapping[str, str]  # a meaning, its colour as #rrggbb

# fmt: off
LIGHT: Palette = MappingProxyType({
    "background": "#f6f7f9", "surface": "#ffffff", "line": "#dfe3e8",
    "text": "#17202a", "muted": "#55606d",
    "accent": "#1f5fbf", "button": "#1f5fbf", "on-button": "#ffffff",
    "good": "#18703f", "warn": "#8a5600", "bad": "#b3322a",
    "notice": "#6f4400", "notice-fill": "#fff1d6",
    "busy": "#1f5fbf", "blocked": "#8a5600", "idle": "#687380",
    "base-a": "#18703f", "base-c": "#1f5fbf", "base-g": "#8a5600", "base-t": "#b3322a", "base-n": "#687380",
    "found": "#0b6e6e", "missed": "#8a5600", "invented": "#a3277f",
})
DARK: Palette = MappingProxyType({
    "background": "#0f1419", "surface": "#181f27", "line": "#2e3843",
    "text": "#e8ecf1", "muted": "#a6b1bd",
    "accent": "#8ab6ff", "button": "#2e6ac9", "on-button": "#ffffff",
    "good": "#62cb92", "warn": "#efb758", "bad": "#ff8f80",
    "notice": "#ffd590", "notice-fill": "#3a2b10",
    "busy": "#8ab6ff", "blocked": "#efb758", "idle": "#8d99a6",
    "base-a": "#62cb92", "base-c": "#8ab6ff", "base-g": "#efb758", "base-t": "#ff8f80", "base-n": "#8d99a6",
    "found": "#56cfc6", "missed": "#efb758", "invented": "#f08fd0",
})
SIZES: Palette = MappingProxyType({
    "small": "0.8125rem", "body": "0.9375rem", "heading": "1.25rem", "figure": "1.625rem", "title": "1.875rem",
})
FONTS: Palette = MappingProxyType({  # what the system has: nothing is loaded
    "sans": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    "mono": "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace",
})
# fmt: on

FILLS = ("background", "surface", "line", "button", "on-button", "notice-fill")  # what stands on them has its own contrast

_STREAMLIT = {
    "primaryColor": "button",  # Streamlit writes on it in white
    "backgroundColor": "background", "secondaryBackgroundColor": "surface", "textColor": "text", "linkColor": "accent",
    "borderColor": "line", "redColor": "bad", "orangeColor": "warn", "yellowColor": "warn", "greenColor": "good", "blueColor": "accent",
    "violetColor": "invented", "grayColor": "idle", "redTextColor": "bad", "orangeTextColor": "warn", "yellowTextColor": "warn",
    "greenTextColor": "good", "blueTextColor": "accent", "violetTextColor": "invented", "grayTextColor": "muted",
}  # fmt: skip
_SERIES = ("accent", "warn", "found", "invented", "bad", "idle")  # the lines of a chart, in this order


def properties(palette: Palette) -> str:
    """CSS declarations: ``--text: #17202a;`` and so on."""
    return " ".join(f"--{meaning}: {colour};" for meaning, colour in palette.items())


def css() -> str:
    """Custom properties for a whole document: light, on paper too, and dark where the reader's system is."""
    scale = " ".join(f"--{kind}-{name}: {value};" for kind, values in (("size", SIZES), ("font", FONTS)) for name, value in values.items())
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ color-scheme: dark; {properties(DARK)} }} }}"
    return f":root {{ color-scheme: light; {properties(LIGHT)} {scale} }}\n{dark}"


def streamlit_options() -> dict[str, str | list[str]]:
    """What the section ``theme`` of the page's ``.streamlit/config.toml`` holds, by full name: ``theme.light.textColor``."""
    options: dict[str, str | list[str]] = {"theme.font": FONTS["sans"], "theme.codeFont": FONTS["mono"], "theme.baseRadius": "10px"}
    for name, palette in (("light", LIGHT), ("dark", DARK)):
        options |= {f"theme.{name}.{option}": palette[meaning] for option, meaning in _STREAMLIT.items()}
        options[f"theme.{name}.chartCategoricalColors"] = [palette[meaning] for meaning in _SERIES]
    return options
