"""How often the 95 % intervals of the report hold the true value when mistakes come in clusters.

    .venv/bin/python benchmarks/check_coverage.py [SEEDS]

Default: 1,000 seeds, about two minutes on one core. Six scenes, each with its true values in closed form: mistakes that come one by one,
reads that fail, a difficulty that the variants of a read share, reads that are all right or all wrong, requests of 5 and of 25 reads
that fail together, and callers with few mistakes. Counts are drawn read by read, added up by cluster and measured as the report does
it. Ends with 1 when a coverage is below 0.93 with 100 clusters or more, below 0.90 with 50, or above 0.985 with either, by more than
the Monte Carlo error of the simulation (two standard errors). With 20 clusters it is shown and not judged: a proportion of 20 has too
few values for any interval to keep its level.

The callers are drawn: they say nothing about any LLM.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

from harness import print_table
from helix_ray.scoring.clusters import Profile, ReadProfile, spread, spreads
from helix_ray.scoring.summary import measures, rate
from helix_ray.scoring.tally import Counts

VARIANTS = (0.25, 0.35, 0.20, 0.20)  # shares of reads with 0 to 3 variants: the preset bench
MEAN = sum(number * share for number, share in enumerate(VARIANTS))
CUMULATIVE = tuple(accumulate(VARIANTS))
SIZES = (20, 50, 100, 400)
MOST, LEAST = 0.985, {50: 0.90}  # by clusters; from 100 on:
LEAST_OF_MANY = 0.93

Skill = Callable[[random.Random], float | None]  # of a read: the probability that a variant is found; None: no answer


class Scene(NamedTuple):
    name: str
    skill: Skill
    moments: Callable[[int], float]  # the mean of the n-th power of the probability
    answered: float = 1.0  # share of reads or requests
    false: float = 0.1  # probability of an invented call in an answered read
    reads: int = 1  # in a request


def beta_moment(a: float, b: float) -> Callable[[int], float]:
    return lambda power: math.prod((a + step) / (a + b + step) for step in range(power))


SCENES = (
    Scene("mistakes one by one", lambda _: 0.9, lambda n: 0.9**n),
    Scene("10 % of reads fail", lambda _: 0.9, lambda n: 0.9**n, answered=0.9),
    Scene("shared difficulty, rho 0.3", lambda rng: rng.betavariate(2.1, 7 / 30), beta_moment(2.1, 7 / 30)),
    Scene("reads all right or all wrong", lambda rng: float(rng.random() < 0.8), lambda n: 0.8 if n else 1.0),
    Scene("10 % of requests of 5 fail", lambda _: 0.9, lambda n: 0.9**n, answered=0.9, reads=5),
    Scene("10 % of requests of 25 fail", lambda _: 0.9, lambda n: 0.9**n, answered=0.9, reads=25),
    Scene("few mistakes", lambda _: 0.985, lambda n: 0.985**n, false=0.02),
)


def truth(scene: Scene) -> dict[str, float]:
    """Recall, precision, F1 and the share of exact reads as they are in the long run."""
    found, false = scene.answered * MEAN * scene.moments(1), scene.answered * scene.false
    exact = scene.answered * (1 - scene.false) * sum(share * scene.moments(number) for number, share in enumerate(VARIANTS))
    return {"recall": found / MEAN, "precision": found / (found + false), "f1": 2 * found / (MEAN + found + false), "exact": exact}


def drawn(scene: Scene, clusters: int, rng: random.Random) -> dict[str, list[float] | None]:
    """The intervals of one run."""
    profiles: Counter[Profile] = Counter()
    reads: Counter[ReadProfile] = Counter()
    total = Counts()
    for _ in range(clusters):
        answered = rng.random() < scene.answered
        sums, exact = [0, 0, 0, 0], 0
        for _ in range(scene.reads):
            draw = rng.random()
            variants = next(number for number, share in enumerate(CUMULATIVE) if draw < share or number == 3)
            if not answered:
                sums[1] += variants
                sums[3] += variants
                continue
            skill = scene.skill(rng) or 0.0
            found, false = sum(rng.random() < skill for _ in range(variants)), rng.random() < scene.false
            sums = [sums[0] + found, sums[1] + variants - found, sums[2] + false, sums[3]]
            exact += found == variants and not false
        profiles[Profile(*sums)] += 1
        reads[ReadProfile(scene.reads, scene.reads * answered, exact, exact)] += 1
        total = total.plus(Counts(tp=sums[0], fn=sums[1], fp=sums[2], fn_failed=sums[3]))
    found_ci = measures(total, spreads(profiles))["ci"]
    exact_spread = spread((it.exact, it.reads, times) for it, times in reads.items())
    exact_ci = rate(sum(it.exact * times for it, times in reads.items()), clusters * scene.reads, exact_spread)["ci"]
    return {"recall": found_ci["recall"], "precision": found_ci["precision"], "f1": found_ci["f1"], "exact": exact_ci}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="?", type=int, default=1000)
    seeds: int = parser.parse_args().seeds
    rows, wrong = [], []
    for scene in SCENES:
        expected = truth(scene)
        for clusters in SIZES:
            held = Counter[str]()
            for seed in range(seeds):
                for name, bounds in drawn(scene, clusters, random.Random(f"{scene.name} {clusters} {seed}")).items():
                    held[name] += bounds is None or bounds[0] <= expected[name] <= bounds[1]
            coverage = {name: held[name] / seeds for name in expected}
            rows.append([scene.name, clusters, *(f"{coverage[name]:.3f}" for name in expected)])
            least = LEAST.get(clusters, LEAST_OF_MANY if clusters >= 100 else 0.0)
            noise = {bound: 2 * math.sqrt(bound * (1 - bound) / seeds) for bound in (least, MOST)}
            wrong += [
                f"{scene.name}, {clusters} clusters: {name} {value:.3f}"
                for name, value in coverage.items()
                if least and (value < least - noise[least] or value > MOST + noise[MOST])
            ]
    print_table(["scene", "clusters", "recall", "precision", "F1", "exact reads"], rows)
    print(f"\nMonte Carlo error of a coverage of 0.95 over {seeds:,} seeds: {math.sqrt(0.95 * 0.05 / seeds):.4f}")
    print("\n".join(["out of bounds:", *wrong] if wrong else ["every coverage is within its bounds"]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
