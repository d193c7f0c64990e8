"""What a snapshot's sums say of how right the model is: measures with 95 % intervals, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from helix_ray.metrics.snapshot import MetricsSnapshot
from helix_ray.scoring.proximity import MISTAKES, REACH, mistake_rates
from helix_ray.scoring.statistics import jeffreys
from helix_ray.scoring.summary import ALL, Interval, Number, f1_of, measures, precision_of, recall_of, total
from helix_ray.scoring.tally import Counts


class Proportion(NamedTuple):
    """A proportion, 0..1, with its 95 % Jeffreys interval; all None where there is nothing to divide by."""

    value: float | None
    low: float | None
    high: float | None


class MeasureRow(NamedTuple):
    level: str
    counts: Counts
    precision: Proportion
    recall: Proportion
    f1: float | None
    ceiling_f1: float | None  # the aligner's on the same reads; None where it is not known


class Overall(NamedTuple):
    f1: float | None
    f1_interval: tuple[float, float] | None  # 95 %, as if truths and calls came one by one
    precision: float | None
    recall: float | None
    ceiling_f1: float | None


def by_type(snapshot: MetricsSnapshot) -> list[MeasureRow]:
    """A row a type, and ``ALL`` at the end; empty without truth."""
    ceiling = _with_sum(snapshot.ceiling)
    return [_row(level, counts, ceiling.get(level)) for level, counts in _with_sum(snapshot.accuracy).items()]


def overall(snapshot: MetricsSnapshot) -> Overall | None:
    """All types together, with the one interval that is shown every second; None without truth."""
    if not snapshot.accuracy:
        return None
    counts, ceiling = total(snapshot.accuracy), f1_of(total(snapshot.ceiling)) if snapshot.ceiling else None
    return Overall(f1_of(counts), _f1_interval(counts), precision_of(counts), recall_of(counts), ceiling)


def by_stratum(snapshot: MetricsSnapshot, dimension: str) -> list[MeasureRow]:
    """A row a level of the dimension."""
    return [_row(*item, None) for item in snapshot.strata.get(dimension, {}).items()]


def mistakes(snapshot: MetricsSnapshot) -> list[tuple[str, int, Proportion]]:
    """In words, how many, and their share; empty without truth."""
    if not snapshot.accuracy:
        return []
    sums = snapshot.read_sums
    rates = mistake_rates(total(snapshot.accuracy), sums.invented, sums.answered)
    return [(MISTAKES[name], found["count"], _share(found["rate"], found["ci"])) for name, found in rates.items()]


def distances(snapshot: MetricsSnapshot) -> list[tuple[int, int]]:
    """Wrong calls by how many bases they are off, from -5 to 5; 0: the right place with other alleles."""
    known = dict(snapshot.off_by)
    return [(offset, known.get(offset, 0)) for offset in range(-REACH, REACH + 1)]


def _with_sum(counts: Mapping[str, Counts]) -> dict[str, Counts]:
    return {**counts, ALL: total(counts)} if counts else {}


def _row(level: str, counts: Counts, ceiling: Counts | None) -> MeasureRow:
    found = measures(counts)
    precision, recall = _share(found["precision"], found["ci"]["precision"]), _share(found["recall"], found["ci"]["recall"])
    return MeasureRow(level, counts, precision, recall, found["f1"], None if ceiling is None else f1_of(ceiling))


def _f1_interval(counts: Counts) -> tuple[float, float] | None:
    """F1 is 2J / (1 + J) of J = found / (found + missed + false), a proportion; both rise together, so its interval becomes F1's."""
    trials = counts.tp + counts.fn + counts.fp
    if trials == 0:
        return None
    low, high = jeffreys(counts.tp, trials)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def _share(value: Number, interval: Interval) -> Proportion:
    return Proportion(value, *interval) if interval else Proportion(None, None, None)
