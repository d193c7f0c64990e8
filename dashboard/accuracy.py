"""How right the model is, as tables and a chart: plain values, no Streamlit."""

from __future__ import annotations

from typing import Any

from helix_ray._dashboard.words import number, percent
from helix_ray.client.measures import distances
from helix_ray.metrics.snapshot import MetricsSnapshot

HELP = (
    "A call is right if it describes the read, whatever it is named: calls that spell the true sequence together are right. Truths and "
    "calls are counted each on their own side; a read without a valid answer counts as missed. Intervals are 95 %. The ceiling is an "
    "exact aligner on the same reads. This measures how well the model describes the differences between a reference window and a "
    "read; it is not a clinical or germline variant caller."
)


def title(snapshot: MetricsSnapshot) -> str:
    """Title of the panel, with a label where the run was simulated."""
    label = "EMULATOR, scripted error rates: " if snapshot.run.simulated else ""
    if not snapshot.accuracy:
        return f"{label}Accuracy: no truth known"
    sums = snapshot.read_sums
    exact = "" if not (sums.exact or sums.baseline_exact) else (
        f"; reads exactly right: {percent(sums.exact / sums.reads)}, by the aligner {percent(sums.baseline_exact / sums.reads)}"
    )  # fmt: skip
    return f"{label}Accuracy against the generator's truth{exact}"


def distance_chart(snapshot: MetricsSnapshot) -> tuple[dict[str, Any], str]:
    """How far off wrong calls are, and a description in words."""
    found = distances(snapshot)
    spec = {
        "animation": False,
        "grid": {"left": 56, "right": 16, "top": 24, "bottom": 40},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "category", "name": "bases off", "nameLocation": "middle", "nameGap": 24, "data": [str(at) for at, _ in found]},
        "yAxis": {"type": "value", "name": "calls", "min": 0, "minInterval": 1},
        "series": [{"name": "wrong calls", "type": "bar", "data": [count for _, count in found]}],
    }
    total = sum(count for _, count in found)
    most = max(found, key=lambda item: item[1])[0]
    label = "EMULATOR: " if snapshot.run.simulated else ""
    words = f"{label}Wrong calls within 5 bases of a missed variant: {number(total)}" + (f", most of them {most:+d} off" if total else "")
    return spec, words
