"""The baseline's aligner against pywfa (WFA2), parasail and edlib: microseconds of CPU time per pair of 150 bases, one core.

    .venv/bin/python benchmarks/bench_aligner.py [PAIRS] [--chart FILE]

Default: 1,000 pairs with each number of variants, best of 7 rounds in which all take turns: some seconds. Each returns the alignment
and not the score alone: a CIGAR, ours normalised variants. WFA2 and parasail have our costs and find the same scores
(`check_aligner.py`); edlib counts edits, which is another and simpler question. All are called from Python, ours also in one call
for all pairs. pip compiles pywfa for this very processor (-march=native); ours is
compiled for any x86-64.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import edlib
import parasail
from pywfa import WavefrontAligner

from chart import bars
from harness import print_table
from helix_ray.native import rust
from support.alignment import Pair, with_variants

VARIANTS = (0, 1, 3, 10)
ROUNDS = 7
OURS = "ours, in batches"


def ours_in_batches(pairs: list[Pair]) -> None:
    windows, reads = zip(*pairs, strict=True)
    rust.align(list(windows), list(reads))


def ours(pairs: list[Pair]) -> None:
    for window, read in pairs:
        rust.align([window], [read])


def wfa2(pairs: list[Pair]) -> None:
    aligner = WavefrontAligner(distance="affine", mismatch=4, gap_opening=6, gap_extension=2, span="end-to-end")
    for window, read in pairs:
        aligner.wavefront_align(read, window)
        _ = aligner.cigartuples


def parasail_striped(pairs: list[Pair]) -> None:
    matrix = parasail.matrix_create("ACGT", 0, -4)
    for window, read in pairs:
        _ = parasail.nw_trace_striped_16(window, read, 8, 2, matrix).cigar.seq


def edlib_path(pairs: list[Pair]) -> None:
    for window, read in pairs:
        edlib.align(read, window, mode="NW", task="path")


RIVALS: dict[str, Callable[[list[Pair]], None]] = {
    OURS: ours_in_batches,
    "ours, pair by pair": ours,
    "pywfa (WFA2)": wfa2,
    "edlib": edlib_path,
    "parasail": parasail_striped,
}


def microseconds(pairs: list[Pair]) -> dict[str, float]:
    """Of CPU time per pair, the best round of each."""
    best = dict.fromkeys(RIVALS, float("inf"))
    for _ in range(ROUNDS):
        for name, rival in RIVALS.items():
            began = time.process_time()
            rival(pairs)
            best[name] = min(best[name], 1e6 * (time.process_time() - began) / len(pairs))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", metavar="PAIRS", type=int, nargs="?", default=1000)
    parser.add_argument("--chart", type=Path, default=Path(__file__).parent / "results/aligner.svg", help="default: %(default)s")
    arguments = parser.parse_args()
    rng = Random(1)
    spent = {f"{n} variants": microseconds([with_variants(rng, n) for _ in range(max(1, arguments.pairs))]) for n in VARIANTS}
    rows = [[name, *[f"{group[name]:.2f} ({group[name] / group[OURS]:.1f}x)" for group in spent.values()]] for name in RIVALS]
    print_table(["us per pair", *spent], rows)
    bars(arguments.chart, "Aligning a read of 150 bases to its window", "microseconds of CPU time per pair", spent)
    print(f"\nchart: {arguments.chart}")


if __name__ == "__main__":
    main()
