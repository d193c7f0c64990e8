"""How right the calls are, as sums: what the snapshot carries. Measures and intervals are made of them where they are shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LevelAccuracy:
    """Truths and calls of one level of one dimension, each counted on its own side. The fields of `scoring.tally.Counts`."""

    level: str  # of dimension type: SNV | MNV | INS | DEL | DELINS | INVALID
    tp: int = 0  # truths that were found
    fn: int = 0  # truths that were not
    fn_allele: int = 0
    fn_near: int = 0
    fn_failed: int = 0
    query_tp: int = 0  # calls that are right
    fp: int = 0  # calls that are not
    fp_error: int = 0
    fp_allele: int = 0
    fp_near: int = 0
    fp_invalid: int = 0

    @property
    def precision(self) -> float | None:
        return self.query_tp / (self.query_tp + self.fp) if self.query_tp + self.fp else None

    @property
    def recall(self) -> float | None:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None


@dataclass(frozen=True, slots=True)
class Stratum:
    dimension: str
    levels: tuple[LevelAccuracy, ...]


@dataclass(frozen=True, slots=True)
class ReadSums:
    """Reads with known truth, by how they came out as a whole. The keys of `scoring.tally.ReadCounts`."""

    reads: int = 0
    answered: int = 0
    exact: int = 0
    baseline_exact: int = 0
    both_exact: int = 0
    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0
    invented: int = 0
    capped: int = 0
    residual_edits: int = 0
    truth_edits: int = 0
