# ruff: noqa: UP013 (tables: related keys stand in one line)
"""Runs compared with a baseline, or each with each: the endpoints in their order, then types and strata, then costs.

The order of the tests was fixed before any number was seen. First whether reads are described exactly: Holm over the pairs. Only where
that tells a pair apart F1 is asked, again with Holm. Types and strata come after, as explorations, with Benjamini-Hochberg's q.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import NormalDist
from typing import NamedTuple, TypedDict

import numpy as np

from helix_ray.comparison.decisions import UNDECIDED, benjamini_hochberg, holm, more_reads, verdict
from helix_ray.comparison.paired import Bounds, Clusters, Discordant, Ratio, bootstrap, difference, widening
from helix_ray.comparison.profiles import Profiles, clusters, ratios
from helix_ray.scoring.clusters import FEW, interval, spread

DIMENSION_OF_TYPES = "type"
FEW_TRUTHS = 30
"""Truths below which a stratum is hatched: there is too little to see."""

Number = float | None
Estimate = TypedDict("Estimate", {
    "first": float, "second": float, "difference": float, "ci": Bounds, "ci90": Bounds, "p": float, "p_adjusted": float, "verdict": str,
    "more_reads": int | None,  # about, until it is decided; None: it is
    "method": str, "design_effect": float, "clusters": int,
})  # fmt: skip
Split = TypedDict("Split", {
    "gained": int, "lost": int, "p_exact": float, "p_mid": float, "odds_ratio": Number, "odds_ratio_ci": tuple[float, Number],
    "cohens_g": Number,
})  # fmt: skip
Aside = TypedDict("Aside", {"first": Number, "second": Number, "difference": Number, "ci": Bounds | None, "p": Number, "reads": int})
Level = TypedDict("Level", {
    "dimension": str, "level": str, "measure": str, "first": float, "second": float, "difference": float, "ci": Bounds, "p": float,
    "q": float, "clusters": int, "truths": int,
})  # fmt: skip
Flip = TypedDict("Flip", {"type": str, "gained": int, "lost": int})
Pair = TypedDict("Pair", {
    "first": int, "second": int,  # places of the runs
    "exact": Estimate, "f1": Estimate | None, "discordant": Split, "asides": dict[str, Aside], "levels": list[Level], "flips": list[Flip],
})  # fmt: skip
Cell = TypedDict("Cell", {"dimension": str, "level": str, "truths": int, "recall": Number, "precision": Number, "f1": Number})
Costs = TypedDict("Costs", {
    "usd": float, "usd_per_1000_reads": Number, "usd_per_variant_found": Number, "on_front": bool,
})  # fmt: skip
Standing = TypedDict("Standing", {
    "exact": float, "exact_ci": Bounds | None, "answered": float,
    "recall": Number, "precision": Number, "f1": Number, "f1_ci": Bounds | None,
    "cells": list[Cell], "costs": Costs,
})  # fmt: skip


class League(NamedTuple):
    reads: int
    standings: list[Standing]
    pairs: list[Pair]
    few_clusters: bool  # fewer than 40 in some pair: Student's t stands in


def compare(runs: Sequence[Profiles], costs: Sequence[tuple[float, int]], *, margin: float, all_pairs: bool = False) -> League:
    """``runs`` hold the same reads. ``costs``: dollars of each whole run, and the reads that it finished for them."""
    places = [*combinations(range(len(runs)), 2)] if all_pairs else [(0, place) for place in range(1, len(runs))]
    pairs = [_pair(runs, first, second) for first, second in places]
    _decide([(pair["exact"], pair["exact"]) for pair in pairs], margin, runs[0].reads)
    _decide([(it, pair["exact"]) for pair in pairs if (it := pair["f1"]) is not None], margin, runs[0].reads)
    levels = [level for pair in pairs for level in pair["levels"]]
    for level, q in zip(levels, benjamini_hochberg([level["p"] for level in levels]), strict=True):
        level["q"] = q
    standings = [_standing(run, *cost) for run, cost in zip(runs, costs, strict=True)]
    for standing in standings:
        standing["costs"]["on_front"] = not any(_dominates(other, standing) for other in standings)
    return League(runs[0].reads, standings, pairs, any(pair["exact"]["clusters"] < FEW for pair in pairs))


def _decide(estimates: list[tuple[Estimate, Estimate]], margin: float, reads: int) -> None:
    """Each with the one that has to tell its pair apart before it is asked."""
    for (it, before), p in zip(estimates, holm([it["p"] for it, _ in estimates]), strict=True):
        it["p_adjusted"] = max(p, before["p_adjusted"] if it is not before else 0.0)
        it["verdict"] = verdict(it["p_adjusted"], it["ci90"], margin)
        if it["verdict"] == UNDECIDED:
            error = (it["ci90"][1] - it["ci90"][0]) / 2 / NormalDist().inv_cdf(0.95)
            it["more_reads"] = more_reads(it["difference"], error, margin, reads)


def _pair(runs: Sequence[Profiles], first: int, second: int) -> Pair:
    one, other = runs[first], runs[second]
    together = clusters(one, other)
    linear = difference(_exact(one), _exact(other), together)
    assert linear is not None
    gained, lost = other.exact & ~one.exact, one.exact & ~other.exact
    widened = max(1.0, linear.effect) * widening(linear.clusters)
    split = Discordant(int(gained.sum()), int(lost.sum()), one.reads, widened)
    odds, odds_ci = split.odds_ratio()
    both = split.gained + split.lost
    return {
        "first": first,
        "second": second,
        "exact": {
            "first": linear.first, "second": linear.second, "difference": linear.value, "ci": split.interval(), "ci90": split.interval(0.9),
            "p": split.p, "p_adjusted": 1.0, "verdict": "", "more_reads": None,
            "method": "McNemar's exact test, Tango's score interval", "design_effect": linear.effect, "clusters": linear.clusters,
        },
        "f1": _f1(one, other, together),
        "discordant": {
            "gained": split.gained, "lost": split.lost, "p_exact": split.p, "p_mid": split.mid_p, "odds_ratio": odds,
            "odds_ratio_ci": odds_ci, "cohens_g": max(split.gained, split.lost) / both - 0.5 if both else None,
        },
        "asides": {
            "answered": _aside(one.answered, other.answered, np.ones(one.reads, dtype=bool)),
            "exact, answered in both": _aside(one.exact, other.exact, one.answered & other.answered),
            "specificity": _aside(~one.detected, ~other.detected, one.clean & one.answered & other.answered),
        },
        "levels": list(_levels(one, other, together)),
        "flips": list(_flips(one, other)),
    }  # fmt: skip


def _exact(run: Profiles) -> Ratio:
    return Ratio(run.exact.astype(np.int64), np.ones(run.reads, dtype=np.int64))


def _f1(one: Profiles, other: Profiles, together: Clusters) -> Estimate | None:
    before, after = ratios(one.counts())["f1"], ratios(other.counts())["f1"]
    linear = difference(before, after, together)
    if linear is None:
        return None
    drawn = bootstrap(before, after, together)
    found = drawn or linear
    return {
        "first": linear.first, "second": linear.second, "difference": linear.value, "ci": found.interval(), "ci90": found.interval(0.9),
        "p": found.p, "p_adjusted": 1.0, "verdict": "", "more_reads": None,
        "method": "linearised standard error by cluster" if drawn is None else "paired bootstrap by cluster",
        "design_effect": linear.effect, "clusters": linear.clusters,
    }  # fmt: skip


def _aside(one: np.ndarray, other: np.ndarray, among: np.ndarray) -> Aside:
    """A share of some reads; it is looked at beside the endpoints and decides nothing."""
    reads = int(among.sum())
    if not reads:
        return {"first": None, "second": None, "difference": None, "ci": None, "p": None, "reads": 0}
    split = Discordant(int((other & ~one & among).sum()), int((one & ~other & among).sum()), reads)
    first, second = (float((run & among).sum()) / reads for run in (one, other))
    return {"first": first, "second": second, "difference": split.value, "ci": split.interval(), "p": split.p, "reads": reads}


def _levels(one: Profiles, other: Profiles, together: Clusters) -> list[Level]:
    found: list[Level] = []
    for dimension, level in levels_of([one, other]):
        before, after = one.counts(dimension, level), other.counts(dimension, level)
        truths = int((before[0] + before[1]).sum())
        for measure in measures_of(dimension) if truths else ():
            it = difference(ratios(before)[measure], ratios(after)[measure], together)
            if it is not None and it.clusters > 1:
                found.append({
                    "dimension": dimension, "level": level, "measure": measure, "first": it.first, "second": it.second,
                    "difference": it.value, "ci": it.interval(), "p": it.p, "q": 1.0, "clusters": it.clusters, "truths": truths,
                })  # fmt: skip
    return found


def measures_of(dimension: str) -> tuple[str, ...]:
    """A wrong call has no event, so that no precision is known there."""
    return ("recall",) if dimension == "event" else ("recall", "precision", "f1")


def levels_of(runs: Sequence[Profiles]) -> list[tuple[str, str]]:
    """Every dimension with its levels, in the order of the names."""
    names: dict[str, set[str]] = {}
    for run in runs:
        for dimension, levels in run.variants.levels.items():
            names.setdefault(dimension, set()).update(levels.names)
    return [(dimension, level) for dimension, levels in names.items() for level in sorted(levels)]


def _flips(one: Profiles, other: Profiles) -> list[Flip]:
    """True variants that one run alone found, by type, as the counts of each read tell."""
    found: list[Flip] = []
    for dimension, level in levels_of([one, other]):
        if dimension == DIMENSION_OF_TYPES:
            change = other.counts(dimension, level)[0] - one.counts(dimension, level)[0]
            gained, lost = int(change[change > 0].sum()), int(-change[change < 0].sum())
            if gained or lost:
                found.append({"type": level, "gained": gained, "lost": lost})
    return found


def _standing(run: Profiles, usd: float, finished: int) -> Standing:
    counts = run.counts()
    measures = ratios(counts)
    cells: list[Cell] = []
    for dimension, level in levels_of([run]):
        of_level = run.counts(dimension, level)
        known = {name: ratio.value if name in measures_of(dimension) else None for name, ratio in ratios(of_level).items()}
        cells.append({
            "dimension": dimension, "level": level, "truths": int((of_level[0] + of_level[1]).sum()),
            "recall": known["recall"], "precision": known["precision"], "f1": known["f1"],
        })  # fmt: skip
    tp, fn, fp = (int(it.sum()) for it in counts)
    whole = [Ratio(counts[0], counts[0] + counts[1] + counts[2]), _exact(run)]  # F1 is 2J/(1 + J) of the first
    j, exact = (interval(float(it.part.sum()), float(it.whole.sum()), spread(_by_request(it, run.request))) for it in whole)
    return {
        "exact": float(run.exact.mean()), "exact_ci": exact, "answered": float(run.answered.mean()),
        "recall": measures["recall"].value, "precision": measures["precision"].value, "f1": measures["f1"].value if tp + fn else None,
        "f1_ci": None if j is None or not tp + fn + fp else (2 * j[0] / (1 + j[0]), 2 * j[1] / (1 + j[1])),
        "cells": cells,
        "costs": {
            "usd": usd, "usd_per_1000_reads": 1000 * usd / finished if finished else None,
            "usd_per_variant_found": usd / finished * run.reads / tp if tp and finished else None, "on_front": False,
        },
    }  # fmt: skip


def _by_request(ratio: Ratio, request: np.ndarray | None) -> list[tuple[float, float, int]]:
    part, whole = ratio if request is None else (np.bincount(request, it) for it in ratio)
    kinds, times = np.unique(np.stack([part, whole], axis=1), axis=0, return_counts=True)
    return [(float(hit), float(size), int(count)) for (hit, size), count in zip(kinds, times, strict=True)]


def _dominates(other: Standing, it: Standing) -> bool:
    """Whether the other is at least as right and as cheap, and one of them more so."""
    theirs, ours = (-other["exact"], other["costs"]["usd_per_1000_reads"] or 0.0), (-it["exact"], it["costs"]["usd_per_1000_reads"] or 0.0)
    return theirs != ours and theirs[0] <= ours[0] and theirs[1] <= ours[1]
