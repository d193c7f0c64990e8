"""Numbers as text, alike in the table and on the page. What is not known is a dash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from helix_ray.records import FAILURE_KINDS

UNKNOWN = "–"
SIMULATED = "scripted error rates; says nothing about any LLM"
NOTICE = f"EMULATOR RESULTS: {SIMULATED}"

PURPOSE = (
    "Helix-Throttle measures how well an LLM describes the small-variant differences between a reference window and an observed "
    "sequence. It is not a clinical or germline variant caller; a deterministic aligner does this task exactly on the identifiable "
    "stratum in microseconds and is reported beside every model."
)


def count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def share(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


def interval(bounds: Sequence[float] | None) -> str:
    """``0.812–0.854``; empty where there is none."""
    return f"{bounds[0]:.3f}–{bounds[1]:.3f}" if bounds else ""


def percent(value: float | None, digits: int = 1) -> str:
    return UNKNOWN if value is None else f"{100 * value:.{digits}f} %"


def percents(bounds: Sequence[float] | None) -> str:
    return f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}" if bounds else ""


def failures(by_kind: Mapping[str, int]) -> str:
    """``API failed (other 5xx) 12, ...``; "none" without any."""
    return ", ".join(f"{FAILURE_KINDS.get(kind, kind)} {number:,}" for kind, number in by_kind.items()) or "none"


def named(counts: Mapping[str, int]) -> str:
    """``on_demand 1,200, flex 80``; "none" without any."""
    return ", ".join(f"{name} {number:,}" for name, number in counts.items()) or "none"


def shares(parts: Mapping[str, float]) -> str:
    """``tokens 92 %, producer 8 %``: what is below a percent is left out."""
    return ", ".join(f"{name} {100 * part:.0f} %" for name, part in parts.items() if part >= 0.01)
