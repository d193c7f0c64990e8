"""How sure an F1 is: percentile bootstrap by read, since the variants of one read stand or fall together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
SEED = 1


class Profile(NamedTuple):
    """How one read came out: truths and calls, right and wrong."""

    tp: int
    fn: int
    query_tp: int
    fp: int


def f1_interval(profiles: Mapping[Profile, int], reads: int, level: float = 0.95) -> tuple[float, float] | None:
    """The interval of F1 from how many of ``reads`` reads came out how; those not in ``profiles`` had neither truth nor call.

    Reads of one profile are alike, so a resample is one multinomial draw over the profiles instead of one draw a read. None when
    nothing was to be found and nothing was called. The same counts always give the same interval.
    """
    rows = [(profile, count) for profile, count in sorted(profiles.items()) if count and any(profile)]
    if not rows:
        return None
    counts = [count for _, count in rows]
    empty = reads - sum(counts)
    if empty < 0:
        raise ValueError(f"{sum(counts)} profiles of {reads} reads")
    shares = np.array([*counts, empty], dtype=np.float64) / reads
    drawn = np.random.default_rng(SEED).multinomial(reads, shares, size=RESAMPLES)[:, :-1]
    tp, fn, query_tp, fp = (drawn @ np.array([profile for profile, _ in rows], dtype=np.int64)).T
    precision, recall = query_tp / np.maximum(query_tp + fp, 1), tp / np.maximum(tp + fn, 1)
    f1 = 2 * precision * recall / np.where(precision + recall > 0, precision + recall, 1)
    low, high = np.quantile(f1, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
