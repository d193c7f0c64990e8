"""The final result of a read, for each of its endings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, TypeVar

from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.prompts import PromptTemplate
from helix_ray.analysis.read_answer import ReadAnswer
from helix_ray.analyzer.leased_reads import ReadTask
from helix_ray.backends.aligner import aligner_calls
from helix_ray.providers.outside_text import printable
from helix_ray.providers.readings import Completion
from helix_ray.records import Disposition, Read, ReadResult
from helix_ray.scoring.score import score_read, with_score
from helix_ray.scoring.variants import JudgedCall

Value = TypeVar("Value")

ALIGNER = "aligner"
MAX_ANSWER = 100_000
MAX_ERROR = 1000


class Answered(NamedTuple):
    """The request whose answer a read ends with, usable or not."""

    call_id: str
    completion: Completion
    latency_ms: float
    reads: int  # asked about in it
    service_tier: str  # as sent


class ResultMaker:
    """What all results of a run have in common, and this thread's CPU time of scoring them. ``template``: None for the aligner."""

    def __init__(self, model: str, template: PromptTemplate | None = None) -> None:
        self._model = model
        self._template = template
        self.baseline_s = 0.0  # CPU seconds of the aligner
        self.scoring_s = 0.0  # CPU seconds of judging, scoring and counting its calls and the model's

    def aligned(self, task: ReadTask, now: datetime) -> ReadResult:
        """The aligner's own answer."""
        read = task.read
        calls = self._baseline(read)
        score = self.timed(lambda: score_read(read, calls, calls))
        return ReadResult(
            read, Disposition.STORED, score.rows, mutation_detected=bool(calls), model=self._model, queue_ms=task.queue_ms,
            exact=score.exact, baseline_exact=score.baseline_exact, residual_edits=score.residual_edits, capped=score.capped,
            finished_at=now,
        )  # fmt: skip

    def stored(self, task: ReadTask, answer: ReadAnswer, answered: Answered, now: datetime) -> ReadResult:
        """A valid answer, whether or not its calls are right."""
        read = task.read
        baseline = self._baseline(read)
        calls = self.timed(lambda: judge_calls(answer.calls, read.ref_seq))
        score = self.timed(lambda: score_read(read, calls, baseline))
        return replace(
            with_score(self._asked(task, Disposition.STORED, "ok", answered.call_id, answered, now), score),
            mutation_detected=any(call.outcome == "ok" for call in calls),
            raw_answer=answer.text,
            attempts=task.failures + 1,
            leniency=answer.leniency,
        )

    def dead_letter(
        self, task: ReadTask, error_kind: str, error: str, now: datetime, *, call_id: str, answered: Answered | None = None
    ) -> ReadResult:
        """No valid answer: the whole truth counts as missed. ``answered``: there was an answer, and it was paid for.

        An answer about several reads is stored with none of them: it could pass for the calls of one.
        """
        own = answered.completion.content if answered and answered.reads == 1 else None
        score = score_read(task.read, None, self._baseline(task.read))
        return replace(
            with_score(self._asked(task, Disposition.DEAD_LETTER, error_kind, call_id, answered, now), score),
            raw_answer=None if own is None else printable(own, MAX_ANSWER),
            attempts=max(1, task.failures + (1 if answered else 0)),
            error_kind=error_kind,
            error=printable(error, MAX_ERROR),
        )

    def _asked(
        self, task: ReadTask, disposition: Disposition, outcome: str, call_id: str, answered: Answered | None, now: datetime
    ) -> ReadResult:
        """A read that was asked about, before its score. ``answered`` None: no answer came."""
        template, completion = self._template, answered.completion if answered else None
        return ReadResult(
            task.read,
            disposition,
            model=(completion.model if completion else None) or self._model,
            prompt=template.name if template else None,
            prompt_hash=template.sha256 if template else None,
            schema_hash=template.schema.sha256 if template else None,
            system_fingerprint=completion.system_fingerprint if completion else None,
            service_tier=completion.service_tier or answered.service_tier if completion and answered else None,
            call_id=call_id,
            cost_usd=task.cost_usd,
            latency_ms=answered.latency_ms if answered else None,
            queue_ms=task.queue_ms,
            repairs=task.repairs,
            outcome=outcome,
            finished_at=now,
        )

    def _baseline(self, read: Read) -> list[JudgedCall]:
        began = time.thread_time()
        calls = aligner_calls(read)
        self.baseline_s += time.thread_time() - began
        return calls

    def timed(self, work: Callable[[], Value]) -> Value:
        """What ``work`` returns; its CPU time counts as scoring."""
        began = time.thread_time()
        value = work()
        self.scoring_s += time.thread_time() - began
        return value


def preset_result(task: ReadTask, now: datetime) -> ReadResult:
    """A read whose source already named its ending: unplaced, filtered or malformed. Only dead letters have an error kind."""
    read = task.read
    assert read.disposition is not None
    error = None if read.reason is None else printable(read.reason, MAX_ERROR)
    rows = score_read(read, None, None).rows
    return ReadResult(read, read.disposition, rows, queue_ms=task.queue_ms, error=error, finished_at=now)
