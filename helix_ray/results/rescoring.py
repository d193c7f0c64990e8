"""Stored answers scored once more: without any request, from what the rows hold.

Says whether a run's scores are what this version would give, for instance after the scorer changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.read_answer import reread_answer
from helix_ray.backends.aligner import aligner_calls
from helix_ray.providers.readings import AnswerError
from helix_ray.records import Disposition, ReadResult
from helix_ray.scoring.score import score_read, with_score
from helix_ray.scoring.scores import RunScores
from helix_ray.scoring.variants import JudgedCall
from helix_ray.storage.rows import NOT_THE_SOURCES

COMPARED = ("variants", "exact", "baseline_exact", "residual_edits", "capped", "mutation_detected")
"""What of a result follows from the read and its answer."""


class Difference(NamedTuple):
    """A read whose stored score is not the one that this version gives it."""

    read_index: int
    what: str  # names of COMPARED, or why its answer cannot be read


class Rescoring:
    """Adds up results as they are scored now, and names those that are stored otherwise. ``packed`` as of `RunScores`."""

    def __init__(self, *, packed: bool = False) -> None:
        self.scores = RunScores(packed=packed)
        self.reads = 0
        self.differences: list[Difference] = []

    def add(self, results: Iterable[ReadResult]) -> None:
        for stored in results:
            self.reads += 1
            now = rescored(stored)
            if isinstance(now, AnswerError):
                self.differences.append(Difference(stored.read.read_index, f"its answer cannot be read any more: {now.message}"))
                now = stored
            elif changed := [name for name in COMPARED if getattr(now, name) != getattr(stored, name)]:
                self.differences.append(Difference(stored.read.read_index, ", ".join(changed)))
            self.scores.add(now)


def rescored(stored: ReadResult) -> ReadResult | AnswerError:
    """A result as this version scores it; AnswerError: its answer can no longer be read.

    A row that does not hold what the source made stays as it is: its truth counts as missed, whatever was found.
    """
    read = stored.read
    if stored.error_kind in NOT_THE_SOURCES:
        return stored
    baseline = None if read.disposition is not None else aligner_calls(read)
    if stored.disposition is not Disposition.STORED:
        return _with(stored, None, baseline)
    if stored.raw_answer is None:  # the aligner alone was asked
        return _with(stored, baseline or [], baseline)
    answer = reread_answer(stored.raw_answer)
    return answer if isinstance(answer, AnswerError) else _with(stored, judge_calls(answer.calls, read.ref_seq), baseline)


def _with(stored: ReadResult, calls: list[JudgedCall] | None, baseline: list[JudgedCall] | None) -> ReadResult:
    score = score_read(stored.read, calls, baseline)
    detected = None if calls is None else any(call.outcome == "ok" for call in calls)
    return replace(with_score(stored, score), mutation_detected=detected)
