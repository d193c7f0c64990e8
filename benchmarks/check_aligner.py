"""Whether the baseline's alignments are optimal: their scores against those of WFA2 (pywfa) and parasail, for equality.

    .venv/bin/python benchmarks/check_aligner.py [PAIRS]

Default: 20,000 pairs, a quarter of each kind; some seconds. Ends with 1 if any score differs.
"""

from __future__ import annotations

import sys

import parasail
from aligner_pairs import KINDS, Pair, of_kind
from harness import argument, print_table
from pywfa import WavefrontAligner

from helix_ray.backends.aligner import align

OPEN, EXTEND = 8, 2
"""As parasail counts: opening includes the gap's first base."""


def wfa2_scores(pairs: list[Pair]) -> list[int]:
    aligner = WavefrontAligner(distance="affine", mismatch=4, gap_opening=6, gap_extension=2, span="end-to-end")
    return [-aligner.wavefront_align(read, window) for window, read in pairs]


def parasail_scores(pairs: list[Pair]) -> list[int]:
    matrix = parasail.matrix_create("ACGT", 0, -4)
    return [-parasail.nw_striped_32(window, read, OPEN, EXTEND, matrix).score for window, read in pairs]


def differing(pairs: list[Pair]) -> dict[str, int]:
    """How many of our scores differ from each of the others."""
    ours = [alignment.score for alignment in align(*zip(*pairs, strict=True))]
    others = {"WFA2": wfa2_scores(pairs), "parasail": parasail_scores(pairs)}
    return {name: sum(a != b for a, b in zip(ours, scores, strict=True)) for name, scores in others.items()}


def main() -> None:
    count = argument(__doc__, "PAIRS", 20_000, least=len(KINDS))
    rows = []
    for kind in KINDS:
        pairs = of_kind(kind, count // len(KINDS), seed=1)
        rows.append([kind, len(pairs), *differing(pairs).values()])
    print_table(["pairs", "number", "score differs from WFA2", "score differs from parasail"], rows)
    sys.exit(any(row[2] or row[3] for row in rows))


if __name__ == "__main__":
    main()
