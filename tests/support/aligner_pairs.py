"""Pairs of window and read for what compares aligners; made here, without the generator of rust_gen/, so that nothing is its own judge."""

from __future__ import annotations

import random
from collections.abc import Callable

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
