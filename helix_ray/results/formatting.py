"""Numbers as text, alike in tables, panels and pages: measures as ``0.953 [0.941, 0.962]``, shares as ``97.3 %``. What is not known is a
dash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from helix_ray.records import FAILURE_KINDS
from helix_ray.results.schema import Uncertainty
from helix_ray.scoring.summary import Measures

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
    """``[0.812, 0.854]``; empty where there is none."""
    return f"[{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else ""


def measure(value: float | None, bounds: Sequence[float] | None, between: str = " ") -> str:
    """``0.833 [0.812, 0.854]``."""
    return share(value) + (f"{between}{interval(bounds)}" if bounds else "")


def percent(value: float | None, digits: int = 1) -> str:
    return UNKNOWN if value is None else f"{100 * value:.{digits}f} %"


def percents(bounds: Sequence[float] | None) -> str:
    """``[81.2, 85.4]``; empty where there is none."""
    return f"[{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]" if bounds else ""


def failures(by_kind: Mapping[str, int]) -> str:
    """``API failed (other 5xx) 12, ...``; "none" without any."""
    return ", ".join(f"{FAILURE_KINDS.get(kind, kind)} {number:,}" for kind, number in by_kind.items()) or "none"


def named(counts: Mapping[str, int]) -> str:
    """``on_demand 1,200, flex 80``; "none" without any."""
    return ", ".join(f"{name} {number:,}" for name, number in counts.items()) or "none"


def shares(parts: Mapping[str, float]) -> str:
    """``tokens 92 %, producer 8 %``: what is below a percent is left out."""
    return ", ".join(f"{name} {100 * part:.0f} %" for name, part in parts.items() if part >= 0.01)


MOST_TRUNCATED = 0.01
"""Of the answers: with more of them cut off, a run measures its max_completion_tokens."""


def cut_off(truncated_share: float | None) -> str | None:
    """What marks such a run; None: nothing does."""
    if truncated_share is None or truncated_share <= MOST_TRUNCATED:
        return None
    return (
        f"CUT OFF: {percent(truncated_share)} of the answers reached analyzer.max_completion_tokens, so that this run measures that "
        "limit and not the model; raise it"
    )


def uncertainty(known: Uncertainty, whole: Measures[int]) -> str:
    """What the intervals rest on: ``intervals by request: 400 clusters, design effect 1.83 of F1, 2.10 of exact reads``."""
    effect = whole["design_effect"]
    of_f1 = f" {effect['f1']:.2f} of F1," if effect else ""
    few = "; fewer than 40, so that Student's t widens them" if known["few"] else ""
    effects = f"design effect{of_f1} {known['design_effect']:.2f} of exact reads"
    return f"intervals by {known['cluster']}: {known['clusters']:,} clusters, {effects}{few}"
