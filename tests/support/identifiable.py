"""How often the aligner finds exactly the truth among reads that the generator calls identifiable."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from helix_ray.config.mutation import MutationConfig, Preset
from helix_ray.native import rust

PRESETS: tuple[Preset, ...] = ("bench", "wgsim", "human")
BATCH = 5000
MIN_F1, MIN_EXACT, MIN_STAMPED = 1.0, 0.999, {"bench": 0.95}

Allele = tuple[int, str, str]


@dataclass
class Agreement:
    """What was found in the records of one preset."""

    records: int = 0
    identifiable: int = 0
    exact: int = 0
    true_positives: int = 0
    false_negatives: int = 0
    false_positives: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def stamped(self) -> float:
        return self.identifiable / self.records

    @property
    def exact_share(self) -> float:
        return self.exact / self.identifiable

    @property
    def f1(self) -> float:
        return 2 * self.true_positives / (2 * self.true_positives + self.false_negatives + self.false_positives)

    def commonest(self, most: int) -> str:
        """What unequal records hold, and what was called instead."""
        return "; ".join(f"{count} {kind}" for kind, count in self.kinds.most_common(most))

    def enough(self, preset: str) -> bool:
        return self.f1 >= MIN_F1 and self.exact_share >= MIN_EXACT and self.stamped >= MIN_STAMPED.get(preset, 0.0)

    def add(self, window: str, read: str, truth: list[Allele], calls: list[Allele], kind: str) -> None:
        self.identifiable += 1
        self.exact += calls == truth
        if calls != truth:
            self.kinds[kind] += 1
        right = len(truth) if same(applied(window, calls), read) else len(set(calls) & set(truth))
        self.true_positives += right
        self.false_negatives += len(truth) - right
        self.false_positives += 0 if right == len(truth) else len(calls) - right


def applied(window: str, alleles: Iterable[Allele]) -> str | None:
    """The haplotype; None when alleles overlap, are out of order or do not fit the window."""
    parts, done = [], 0
    for pos, ref, alt in alleles:
        if pos - 1 < done or window[pos - 1 : pos - 1 + len(ref)] != ref:
            return None
        parts += [window[done : pos - 1], alt]
        done = pos - 1 + len(ref)
    return "".join([*parts, window[done:]])


def same(haplotype: str | None, read: str) -> bool:
    """Base by base; an N is any base."""
    if haplotype is None or len(haplotype) != len(read):
        return False
    return haplotype == read or all(b in (a, "N") for a, b in zip(haplotype, read, strict=True))


def agreement(mutation: MutationConfig, identifiable: int, seed: int = 42) -> Agreement:
    """Of the records from the first on, until so many are identifiable."""
    found = Agreement()
    for window, read, truth, errors, stamped in _records(mutation, seed):
        found.records += 1
        if not stamped:
            continue
        _, (calls,) = rust.align([window], [read])
        variants = sorted([*truth, *errors])
        kind = f"{_types(v[4] for v in variants)} called {_types(call[3] for call in calls)}"
        found.add(window, read, [v[:3] for v in variants], [call[:3] for call in calls], kind)
        if found.identifiable == identifiable:
            break
    return found


def _records(mutation: MutationConfig, seed: int) -> Iterator[tuple[Any, ...]]:
    start = 0
    while True:
        columns = rust.generate(seed, mutation.to_generator_json(), start, BATCH)
        ref_seq, seq, truth, errors, identifiable = (columns[column] for column in (3, 4, 6, 7, 8))
        yield from zip(ref_seq, seq, truth, errors, identifiable, strict=True)
        start += BATCH


def _types(names: Iterable[str]) -> str:
    return "+".join(names) or "nothing"
