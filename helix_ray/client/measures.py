"""What a snapshot's sums say of how right the model is: measures with 95 % intervals, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from helix_ray.metrics.snapshot import MetricsSnapshot
from helix_ray.scoring.proximity import MISTAKES, REACH, mistake_rates
from helix_ray.scoring.summary import ALL, Interval, Number, f1_of, measures, total
from helix_ray.scoring.tally import Counts


class Proportion(NamedTuple):
    """A measure, 0..1, with its 95 % interval as if truths and calls came one by one; all None where there is nothing to divide by."""

    value: float | None
    low: float | None
    high: float | None


class MeasureRow(NamedTuple):
    level: str
    counts: Counts
    precision: Proportion
    recall: Proportion
    f1: Proportion
    ceiling_f1: float | None  # the aligner's on the same reads; None where it is not known


class Overall(NamedTuple):
    f1: float | None
    f1_interval: Interval  # 95 %, as if truths and calls came one by one
    precision: float | None
    recall: float | None
    ceiling_f1: float | None
    errors: bool  # sequencing errors count as truths


def with_errors(snapshot: MetricsSnapshot) -> bool:
    """Whether the reads have sequencing errors: then all differences are the headline, and the aligner beside them is always right."""
    if not snapshot.all_differences:
        return False
    mutations, shown = total(snapshot.accuracy), total(snapshot.all_differences)
    return shown.tp + shown.fn > mutations.tp + mutations.fn


def by_type(snapshot: MetricsSnapshot) -> list[MeasureRow]:
    """A row a type, and ``ALL`` at the end, of the headline; empty without truth."""
    ceiling, counts = _headline(snapshot)
    return [_row(level, row, ceiling.get(level)) for level, row in counts.items()]


def _headline(snapshot: MetricsSnapshot) -> tuple[dict[str, Counts], dict[str, Counts]]:
    """The aligner's counts and the model's."""
    if with_errors(snapshot):
        return {}, _with_sum(snapshot.all_differences)
    return _with_sum(snapshot.ceiling), _with_sum(snapshot.accuracy)


def overall(snapshot: MetricsSnapshot) -> Overall | None:
    """All types together, with the one interval that is shown every second; None without truth."""
    if not snapshot.accuracy:
        return None
    ceiling, counts = _headline(snapshot)
    found, best = measures(counts[ALL]), f1_of(ceiling[ALL]) if ceiling else None
    return Overall(found["f1"], found["ci"]["f1"], found["precision"], found["recall"], best, with_errors(snapshot))


def by_stratum(snapshot: MetricsSnapshot, dimension: str) -> list[MeasureRow]:
    """A row a level of the dimension."""
    return [_row(*item, None) for item in snapshot.strata.get(dimension, {}).items()]


def mistakes(snapshot: MetricsSnapshot) -> list[tuple[str, int, Proportion]]:
    """In words, how many, and their share; empty without truth."""
    if not snapshot.accuracy:
        return []
    sums = snapshot.read_sums
    rates = mistake_rates(total(snapshot.accuracy), sums.invented, sums.answered, sums.renumbered)
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
    f1 = _share(found["f1"], found["ci"]["f1"])
    return MeasureRow(level, counts, precision, recall, f1, None if ceiling is None else f1_of(ceiling))


def _share(value: Number, interval: Interval) -> Proportion:
    return Proportion(value, *interval) if interval else Proportion(None, None, None)
