"""Whether a comparison keeps what it says: few false findings among equal models, and the power that was planned.

    .venv/bin/python benchmarks/check_compare.py [LEAGUES]

Default: 1,000 leagues of 8 equal models, whose mistakes come in requests that fail together and in reads that are hard for all of them,
read by read and in requests of 5; then 1,000 pairs of unequal models at the number of reads that `--difference 0.02` plans. Seeds are
fixed. Ends with 1 when more than 5 % of the leagues have a false "better" (beyond three Monte Carlo errors), or the power leaves
0.75 to 0.85.
"""

from __future__ import annotations

import argparse
import math
import sys

import numpy as np

from harness import print_table
from helix_ray.comparison import league, paired
from helix_ray.comparison.decisions import ALPHA, BETTER, reads_to_tell
from helix_ray.comparison.profiles import Profiles, Variants

MODELS, READS, PACK, EXACT = 8, 400, 5, 0.7
DIFFERENCE, DISCORDANT = 0.02, 0.1
LEAST_POWER, MOST_POWER = 0.75, 0.85


def run_of(exact: np.ndarray, wrong: np.ndarray, truths: np.ndarray, pack: int) -> Profiles:
    """A run whose inexact reads miss a truth, or invent a call where there is none."""
    reads = len(exact)
    missed = ~exact & (truths > 0)
    found, false = truths - missed, (~exact & (truths == 0)).astype(int) + (~exact & wrong)
    kinds = [found, missed.astype(int), false]
    read = np.concatenate([np.repeat(np.arange(reads), times) for times in kinds])
    kind = np.concatenate([np.full(int(times.sum()), which) for which, times in enumerate(kinds)])
    every = np.ones(reads, dtype=bool)
    request = None if pack == 1 else np.arange(reads) // pack
    return Profiles(np.arange(reads), np.ones(reads, dtype=np.uint64), exact, every, truths == 0, every, request, Variants(read, kind, {}))


def equal_models(seed: int, pack: int) -> list[Profiles]:
    """Reads are easier or harder for all models alike; of each model a tenth of the requests goes wrong altogether."""
    rng = np.random.default_rng(seed)
    hard, truths = rng.normal(size=READS), rng.poisson(1.35, size=READS)
    runs = []
    for _ in range(MODELS):
        fails = np.repeat(rng.random(-(-READS // pack)) < 0.1, pack)[:READS]
        exact = (0.7 * hard + rng.normal(size=READS) < 0.9) & ~fails
        runs.append(run_of(exact, rng.random(READS) < 0.3, truths, pack))
    return runs


def unequal_models(seed: int, reads: int) -> list[Profiles]:
    rng = np.random.default_rng(seed)
    draw, truths = rng.random(reads), rng.poisson(1.35, size=reads)
    lost, gained = (DISCORDANT - DIFFERENCE) / 2, (DISCORDANT + DIFFERENCE) / 2
    both = draw < EXACT
    wrong = rng.random(reads) < 0.3
    first = both | ((draw >= EXACT) & (draw < EXACT + lost))
    second = both | ((draw >= EXACT + lost) & (draw < EXACT + lost + gained))
    return [run_of(exact, wrong, truths, 1) for exact in (first, second)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("leagues", nargs="?", type=int, default=1000)
    leagues: int = parser.parse_args().leagues
    paired.RESAMPLES = 2000  # of 10,000: the quantiles that decide are the same to a tenth of a point
    rows, failed = [], False
    for pack in (1, PACK):
        false = {"exact": 0, "F1": 0, "either": 0}
        for seed in range(leagues):
            pairs = league.compare(equal_models(seed, pack), [(1.0, READS)] * MODELS, margin=0.01).pairs
            exact = any(pair["exact"]["verdict"] == BETTER for pair in pairs)
            f1 = any(pair["f1"] is not None and pair["f1"]["verdict"] == BETTER for pair in pairs)
            false = {"exact": false["exact"] + exact, "F1": false["F1"] + f1, "either": false["either"] + (exact or f1)}
        error = math.sqrt(ALPHA * (1 - ALPHA) / leagues)
        failed |= false["either"] / leagues > ALPHA + 3 * error
        shares = [f"{count / leagues:.3f}" for count in false.values()]
        rows.append([f"{MODELS} equal models, {READS} reads, {pack} a request", *shares, f"{error:.3f}"])
    reads = reads_to_tell(DIFFERENCE, DISCORDANT)
    told = [league.compare(unequal_models(seed, reads), [(1.0, reads)] * 2, margin=0.01).pairs[0] for seed in range(leagues)]
    right = sum(pair["exact"]["verdict"] == BETTER and pair["exact"]["difference"] > 0 for pair in told) / leagues
    failed |= not LEAST_POWER <= right <= MOST_POWER
    rows.append([f"power at {reads:,} reads: {100 * DIFFERENCE:g} points, {DISCORDANT:.0%} discordant", f"{right:.3f}", "", "", ""])
    rows[-1][-1] = f"{math.sqrt(right * (1 - right) / leagues):.3f}"
    print_table([f"{leagues:,} seeds", "better: exact", "better: F1", "either", "Monte Carlo error"], rows)
    sys.exit(failed)


if __name__ == "__main__":
    main()
