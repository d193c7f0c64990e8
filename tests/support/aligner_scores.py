"""Scores of WFA2 (pywfa) and of parasail beside ours, for the same pairs and penalties."""

from __future__ import annotations

import parasail
from pywfa import WavefrontAligner

from support.aligner_pairs import Pair
from support.alignment import align

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
