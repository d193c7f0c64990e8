"""What a difference is worth: corrected for how many were looked at, weighed against a margin, and planned for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

ALPHA, POWER = 0.05, 0.8
BETTER, EQUIVALENT, UNDECIDED = "better", "equivalent", "undecided"


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted so that, below `ALPHA`, at most that share of whole families has a false finding (Holm 1979)."""
    return _stepped(p, lambda rank, value: (len(p) - rank) * value, rising=True)


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """q-values: the expected share of false ones among the findings (Benjamini & Hochberg 1995)."""
    return _stepped(p, lambda rank, value: len(p) / (rank + 1) * value, rising=False)


def _stepped(p: Sequence[float], scaled: Callable[[int, float], float], *, rising: bool) -> list[float]:
    order = sorted(range(len(p)), key=p.__getitem__)
    found, bound = [0.0] * len(p), 0.0 if rising else 1.0
    for rank, place in enumerate(order) if rising else reversed([*enumerate(order)]):
        value = min(1.0, scaled(rank, p[place]))
        bound = max(bound, value) if rising else min(bound, value)
        found[place] = bound
    return found


def verdict(p: float, ninety: tuple[float, float], margin: float) -> str:
    """``p`` is adjusted; ``ninety``: the 90 % interval, which lies within the margin where both one-sided tests reject (TOST,
    Schuirmann 1987). That nothing was found is not that nothing is there.
    """
    if p < ALPHA:
        return BETTER
    return EQUIVALENT if -margin < ninety[0] and ninety[1] < margin else UNDECIDED


def reads_to_tell(difference: float, discordant: float, power: float = POWER, alpha: float = ALPHA) -> int:
    """Pairs of reads after which a difference of two proportions is found with this power, two-sided (Connor 1987,
    doi:10.2307/2531961). ``discordant``: the share of reads that one caller alone has right, at least the difference.
    """
    delta = abs(difference)
    if not 0 < delta <= discordant <= 1:
        raise ValueError(f"a difference of {delta:g} among {discordant:g} discordant reads")
    z_alpha, z_power = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
    reach = z_alpha * math.sqrt(discordant) + z_power * math.sqrt(discordant - delta**2)
    return math.ceil(reach**2 / delta**2)


def difference_told(reads: int, discordant: float, power: float = POWER, alpha: float = ALPHA) -> float | None:
    """The least difference that `reads_to_tell` so many reads; None: not even one as large as ``discordant``."""
    if not reads or reads_to_tell(discordant, discordant, power, alpha) > reads:
        return None
    low, high = 0.0, discordant
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if reads_to_tell(middle, discordant, power, alpha) <= reads else (middle, high)
    return high


def more_reads(seen: float, error: float, margin: float, reads: int) -> int:
    """About how many reads more decide it, with 80 % power: either that the difference which was seen is there, or that it lies within
    the margin, whichever comes first. ``error``: its standard error at ``reads``.
    """
    z = NormalDist().inv_cdf
    better = (z(1 - ALPHA / 2) + z(POWER)) * error / abs(seen) if seen else math.inf
    within = (z(1 - ALPHA) + z((1 + POWER) / 2)) * error / (margin - abs(seen)) if margin > abs(seen) else math.inf
    factor = min(better, within) ** 2
    more = max(1.0, reads * (factor - 1)) if math.isfinite(factor) else math.inf
    return _rounded(more) if math.isfinite(more) else 10**12


def _rounded(number: float) -> int:
    """Up, to two digits: more would pretend."""
    unit = int(10 ** max(0, math.floor(math.log10(number)) - 1))
    return math.ceil(number / unit) * unit
