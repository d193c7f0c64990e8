import tomllib
from pathlib import Path

import pytest
from streamlit.config import get_config_options

import helix_ray._dashboard
from helix_ray import theme

GROUNDS = ("background", "surface")
PAIRS = (
    *((meaning, ground) for meaning in theme.LIGHT if meaning not in theme.FILLS for ground in GROUNDS),
    ("on-button", "button"),
    ("notice", "notice-fill"),
)


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2, 0 to 1."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01), "the lightest grey that is text on white"


@pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_text_and_marks_stand_out(palette: theme.Palette) -> None:
    pale = {pair: round(contrast(palette[pair[0]], palette[pair[1]]), 2) for pair in PAIRS}
    assert not {pair: ratio for pair, ratio in pale.items() if ratio < 4.5}
    assert all(contrast(palette["button"], palette[ground]) >= 3 for ground in GROUNDS)


def test_light_and_dark_name_the_same_and_both_are_in_the_css() -> None:
    assert theme.LIGHT.keys() == theme.DARK.keys()
    light, dark = theme.css().split("@media screen and (prefers-color-scheme: dark)")
    for palette, part in ((theme.LIGHT, light), (theme.DARK, dark)):
        assert all(f"--{meaning}: {colour};" in part for meaning, colour in palette.items())
    assert "--size-body: 0.9375rem;" in light


def test_streamlit_knows_every_option() -> None:
    options = theme.streamlit_options()
    assert not options.keys() - get_config_options({}).keys()
    assert options["theme.dark.textColor"] == theme.DARK["text"]
    shipped = tomllib.loads(Path(helix_ray._dashboard.__file__).with_name(".streamlit").joinpath("config.toml").read_text())
    flat = {f"theme.{name}": value for name, value in shipped["theme"].items() if not isinstance(value, dict)}
    for name in ("light", "dark"):
        flat |= {f"theme.{name}.{option}": value for option, value in shipped["theme"][name].items()}
    assert flat == options
