"""The scored reads of a run as columns, and two runs brought together read by read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from helix_ray.comparison.paired import Array, Clusters, Ratio

FOUND, MISSED, FALSE = range(3)
"""What a row of `Variants` is: a truth that was found, one that was missed, a call that is wrong."""


class Levels(NamedTuple):
    """One dimension of every variant."""

    names: tuple[str, ...]
    codes: Array  # places in ``names``; -1: the variant has no level there


@dataclass(frozen=True, slots=True)
class Variants:
    """Truths and wrong calls of all reads; right calls count as the truths that they tell."""

    read: Array  # place of the read in `Profiles`
    kind: Array  # FOUND | MISSED | FALSE
    levels: Mapping[str, Levels]  # by dimension


@dataclass(frozen=True, slots=True)
class Profiles:
    """The finished reads of a run whose truth is known, by their index."""

    index: Array  # int64, rising
    checksum: Array  # uint64; 0: not taken
    exact: Array  # bool: described exactly
    answered: Array  # bool
    clean: Array  # bool: has no true variant
    detected: Array  # bool: some variant was called
    request: Array | None  # code of the request that answered; None: one read a request
    variants: Variants

    @property
    def reads(self) -> int:
        return len(self.index)

    def only(self, keep: Array) -> Profiles:
        """The reads at these places, which rise."""
        place = np.full(self.reads, -1)
        place[keep] = np.arange(len(keep))
        stays = place[self.variants.read] >= 0
        levels = {name: Levels(it.names, it.codes[stays]) for name, it in self.variants.levels.items()}
        request = None if self.request is None else np.unique(self.request[keep], return_inverse=True)[1]
        return Profiles(
            self.index[keep], self.checksum[keep], self.exact[keep], self.answered[keep], self.clean[keep], self.detected[keep], request,
            Variants(place[self.variants.read[stays]], self.variants.kind[stays], levels),
        )  # fmt: skip

    def counts(self, dimension: str | None = None, level: str | None = None) -> tuple[Array, Array, Array]:
        """Found, missed and false variants of each read, all or those of one level."""
        there = np.ones(len(self.variants.read), dtype=bool)
        if dimension is not None:
            names, codes = self.variants.levels[dimension]
            there = codes == (names.index(level) if level in names else -2)
        read, kind = self.variants.read[there], self.variants.kind[there]
        found, missed, false = (np.bincount(read[kind == it], minlength=self.reads) for it in (FOUND, MISSED, FALSE))
        return found, missed, false


def ratios(counts: tuple[Array, Array, Array]) -> dict[str, Ratio]:
    """Recall, precision and F1 by read."""
    found, missed, false = counts
    return {
        "recall": Ratio(found, found + missed),
        "precision": Ratio(found, found + false),
        "f1": Ratio(2 * found, 2 * found + missed + false),
    }


class Meeting(NamedTuple):
    """Where runs meet: the places, in each of them, of the reads that all have finished as the same read."""

    places: list[Array]
    unlike: int  # indices that all have finished, whose reads are not the same
    unfinished: list[int]  # by run: reads that another run has and this one has not

    @property
    def reads(self) -> int:
        return len(self.places[0])


def meet(runs: list[Profiles]) -> Meeting:
    """By read index, where every run has the same checksum; a read without one is like no other."""
    common = runs[0].index
    for run in runs[1:]:
        common = np.intersect1d(common, run.index, assume_unique=True)
    places = [np.searchsorted(run.index, common) for run in runs]
    sums = [run.checksum[place] for run, place in zip(runs, places, strict=True)]
    alike = sums[0] != 0
    for other in sums[1:]:
        alike = alike & (other == sums[0])
    every = len(np.unique(np.concatenate([run.index for run in runs])))
    return Meeting([place[alike] for place in places], int((~alike).sum()), [every - run.reads for run in runs])


def fingerprint(reads: Profiles) -> str:
    """sha256 over index and checksum of every read, in the order of the index."""
    return hashlib.sha256(np.stack([reads.index.astype("<u8"), reads.checksum.astype("<u8")], axis=1).tobytes()).hexdigest()


def clusters(first: Profiles, second: Profiles) -> Clusters:
    return Clusters.of(first.request, second.request)
