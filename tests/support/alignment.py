"""Pairs of window and read for what compares aligners, made without the generator of rust_gen/, and scores of ours and of others."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import parasail
from pywfa import WavefrontAligner

from helix_ray.native import rust


class Call(NamedTuple):
    """A difference in VCF form."""

    pos: int  # 1-based in the window
    ref: str
    alt: str
    type: str  # SNV | MNV | INS | DEL | DELINS


class Alignment(NamedTuple):
    score: int  # cost of the optimal alignment, at least 0; at 0 nothing differs but Ns
    calls: list[Call]  # sorted, without overlap; applied to the window they give the read, but for its Ns


def align(ref_seqs: Sequence[str], seqs: Sequence[str]) -> list[Alignment]:
    """Each read against its window. ValueError: columns of different lengths, or anything but upper-case IUPAC codes."""
    scores, calls = rust.align(list(ref_seqs), list(seqs))
    return [Alignment(score, [Call(*call) for call in found]) for score, found in zip(scores, calls, strict=True)]


Pair = tuple[str, str]
LENGTH = 150


def bases(rng: random.Random, length: int, letters: str = "ACGT") -> str:
    return "".join(rng.choices(letters, k=length))


def repeats(rng: random.Random, length: int) -> str:
    """Tandem repeats of units of 1 to 6 bases, 2 to 12 copies each, with a few random bases between."""
    window = ""
    while len(window) < length:
        window += bases(rng, rng.randint(1, 6)) * rng.randint(2, 12) + bases(rng, rng.randint(0, 8))
    return window[:length]


def mutated(rng: random.Random, window: str, variants: int) -> str:
    """``variants`` places apart by a base at least: 60 % substituted, 20 % with bases inserted, 20 % with bases deleted.

    Lengths of indels are geometric, as dwgsim's: each further base with probability 0.3.
    """
    read = window
    for place in sorted(rng.sample(range(0, len(window), 2), variants), reverse=True):
        kind, length = rng.choices("XID", (6, 2, 2))[0], 1
        while rng.random() < 0.3:
            length += 1
        if kind == "X":
            read = read[:place] + rng.choice("ACGT".replace(read[place], "")) + read[place + 1 :]
        elif kind == "I":
            read = read[:place] + bases(rng, length) + read[place:]
        else:
            read = read[:place] + read[place + length :]
    return read


def with_variants(rng: random.Random, variants: int) -> Pair:
    window = bases(rng, LENGTH)
    return window, mutated(rng, window, variants)


def dense(rng: random.Random) -> Pair:
    return with_variants(rng, rng.randint(10, 40))


def in_repeats(rng: random.Random) -> Pair:
    window = repeats(rng, LENGTH)
    return window, mutated(rng, window, rng.randint(1, 8))


def unlike(rng: random.Random) -> Pair:
    """Nothing in common, of any lengths; of few letters, so that much of it matches somewhere."""
    letters = rng.choice(("AC", "ACG", "ACGT"))
    return bases(rng, rng.randint(1, 200), letters), bases(rng, rng.randint(1, 200), letters)


KINDS: dict[str, Callable[[random.Random], Pair]] = {
    "3 variants": lambda rng: with_variants(rng, 3),
    "10 to 40 variants": dense,
    "repeats, 1 to 8 variants": in_repeats,
    "nothing in common, 1 to 200 bases": unlike,
}


def of_kind(kind: str, count: int, seed: int) -> list[Pair]:
    rng = random.Random(f"{seed} {kind}")
    return [KINDS[kind](rng) for _ in range(count)]


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
