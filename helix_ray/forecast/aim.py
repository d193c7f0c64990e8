"""Which difference between two runs this many reads can tell, and how many reads and dollars a wished one takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from helix_ray.comparison.decisions import ALPHA, POWER, difference_told, reads_to_tell
from helix_ray.forecast.estimate import Forecast
from helix_ray.records import JsonObject


@dataclass(frozen=True, slots=True)
class Aim:
    """Of two runs on the same reads, one read a request. Shares of all reads, 0 to 1."""

    difference: float | None = None  # of exactly described reads; None: none is wished
    discordant: float = 0.1  # reads that one run alone has right
    power: float = POWER
    pairs: int = 1  # runs that are compared with the baseline: the smallest p has to pass alpha / pairs


def plan(forecast: Forecast, aim: Aim) -> JsonObject:
    """The forecast's key ``difference``. ``cost_usd`` is of one run, by the forecast's price a read."""
    alpha, price = ALPHA / aim.pairs, forecast.per_1000_reads_usd
    reads = None if aim.difference is None else reads_to_tell(aim.difference, aim.discordant, aim.power, alpha)
    return {
        "wished": aim.difference,
        "discordant": aim.discordant,
        "power": aim.power,
        "pairs": aim.pairs,
        "reads": reads,
        "cost_usd": None if reads is None or price is None else round(reads * price / 1000, 6),
        "told_by_this_run": difference_told(round(forecast.demand.reads), aim.discordant, aim.power, alpha),
    }


def told(forecast: Forecast, aim: Aim) -> Iterator[str]:
    """In sentences."""
    found = plan(forecast, aim)
    least, reads, cost = found["told_by_this_run"], found["reads"], found["cost_usd"]
    few = "no difference at all" if least is None else f"{100 * least:.2g} percentage points of exact reads"
    given = f"power {aim.power:.0%}, {aim.discordant:.1%} of the reads right in one run alone"
    yield f"Compared with another run on the same reads, it can tell {few} apart ({given}; helix compare)."
    if reads is not None:
        dollars = "" if cost is None else f" and ${cost:,.4f}"
        corrected = f", each of {aim.pairs} pairs corrected for all" if aim.pairs > 1 else ""
        yield f"To tell {100 * aim.difference:g} points apart takes {reads:,} reads{dollars} a run{corrected}."  # type: ignore[operator]
