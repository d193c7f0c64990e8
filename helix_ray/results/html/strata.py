"""The same measures, broken down: by what the variant is, and by what read it lies in."""

from __future__ import annotations

import re

from helix_ray.records import JsonObject
from helix_ray.results.html.drawing import interval_plot
from helix_ray.results.html.parts import Parts, Row, cell, measure, section, words
from helix_ray.results.html.tags import Html, tag

NAMES = {
    "subtype": ("Subtype", "ti, tv: transitions and transversions; I, D, C: insertions, deletions, both at once, by length in bases"),
    "event": ("Event", "what the generator did; a call has no event, so that only recall is known"),
    "n_truth": ("Variants in the read", "true ones"),
    "length": ("Window", "bases"),
    "gc": ("GC content", "of the window, 0 to 1"),
    "homopolymer": ("Longest homopolymer", "of the window, in bases"),
    "third": ("Place in the window", "thirds, from the left"),
    "identifiable": ("Identifiable", "whether the truth can be told from window and read alone"),
}


def strata_section(report: JsonObject, parts: Parts) -> Html:
    by = report["scoring"]["by"]
    tables = [_table(dimension, by[dimension], parts) for dimension in NAMES if by.get(dimension)]
    lead = "Each table but that of events divides all truths and all calls, so that its rows add up to the totals above."
    return section("Strata", lead, tag("div", *tables, class_="columns"))


def _table(dimension: str, levels: JsonObject, parts: Parts) -> Html:
    title, about = NAMES[dimension]
    called = any(row["query_tp"] is not None for row in levels.values())
    rows = [
        Row(
            level,
            [
                cell(f"{row['tp'] + row['fn']:,}"),
                measure(row["recall"], row["ci"]["recall"]),
                words(interval_plot(row["recall"], row["ci"]["recall"], None, f"recall, {title} {level}")),
                *([measure(row["precision"], row["ci"]["precision"]), measure(row["f1"])] if called else []),
            ],
        )
        for level, row in sorted(levels.items(), key=lambda item: _natural(item[0]))
    ]
    return parts.table(title, ["level", "truths", "recall", "", *(["precision", "F1"] if called else [])], rows, about)


def _natural(level: str) -> list[tuple[int, float, str]]:
    """Numbers in names by their size: 5-6 before 11+."""
    pieces = re.findall(r"\d+(?:\.\d+)?|\D+", level)
    return [(0, float(piece), "") if piece[0].isdigit() else (1, 0.0, piece) for piece in pieces]
