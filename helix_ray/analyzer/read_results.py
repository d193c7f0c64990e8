"""The final result of a read, for each of its endings."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, TypeVar

from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.read_answer import ReadAnswer
from helix_ray.analyzer.leased_reads import ReadTask
from helix_ray.backends.aligner import aligner_calls
from helix_ray.providers.outside_text import printable
from helix_ray.providers.readings import Completion
from helix_ray.records import Disposition, Read, ReadResult
from helix_ray.scoring.score import score_read
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
    """What all results of a run have in common, and the CPU time of scoring them.

    ``cpu_s``: a clock of this thread's CPU time, in seconds.
    """

    def __init__(
        self,
        model: str,
        prompt: str | None = None,
        prompt_hash: str | None = None,
        schema_hash: str | None = None,
        cpu_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self._model = model
        self._prompt = prompt
        self._prompt_hash = prompt_hash
        self._schema_hash = schema_hash
        self._cpu_s = cpu_s
        self.baseline_s = 0.0  # CPU seconds of the aligner
        self.scoring_s = 0.0  # CPU seconds of judging and scoring its calls and the model's

    def aligned(self, task: ReadTask, now: datetime) -> ReadResult:
        """The aligner's own answer."""
        read = task.read
        calls = self._baseline(read)
        score = self._timed(lambda: score_read(read, calls, calls))
        return ReadResult(
            read,
            Disposition.STORED,
            mutation_detected=bool(calls),
            model=ALIGNER,
            queue_ms=task.queue_ms,
            finished_at=now,
            **score.as_fields(),
        )

    def stored(self, task: ReadTask, answer: ReadAnswer, answered: Answered, now: datetime) -> ReadResult:
        """A valid answer, whether or not its calls are right."""
        read, completion = task.read, answered.completion
        baseline = self._baseline(read)
        calls = self._timed(lambda: judge_calls(answer.calls, read.ref_seq))
        score = self._timed(lambda: score_read(read, calls, baseline))
        return ReadResult(
            read,
            Disposition.STORED,
            mutation_detected=any(call.outcome == "ok" for call in calls),
            raw_answer=answer.text,
            model=completion.model or self._model,
            prompt=self._prompt,
            prompt_hash=self._prompt_hash,
            schema_hash=self._schema_hash,
            system_fingerprint=completion.system_fingerprint,
            service_tier=completion.service_tier or answered.service_tier,
            call_id=answered.call_id,
            cost_usd=task.cost_usd,
            latency_ms=answered.latency_ms,
            queue_ms=task.queue_ms,
            attempts=task.failures + 1,
            repairs=task.repairs,
            outcome="ok",
            leniency=answer.leniency,
            finished_at=now,
            **score.as_fields(),
        )

    def dead_letter(
        self, task: ReadTask, error_kind: str, error: str, now: datetime, *, call_id: str, answered: Answered | None = None
    ) -> ReadResult:
        """No valid answer: the whole truth counts as missed. ``answered``: there was an answer, and it was paid for.

        An answer about several reads is stored with none of them: it could pass for the calls of one.
        """
        completion = answered.completion if answered else None
        own = completion if answered and answered.reads == 1 else None
        return ReadResult(
            task.read,
            Disposition.DEAD_LETTER,
            raw_answer=printable(own.content, MAX_ANSWER) if own else None,
            model=(completion.model if completion else None) or self._model,
            prompt=self._prompt,
            prompt_hash=self._prompt_hash,
            schema_hash=self._schema_hash,
            system_fingerprint=completion.system_fingerprint if completion else None,
            service_tier=completion.service_tier or answered.service_tier if completion and answered else None,
            call_id=call_id,
            cost_usd=task.cost_usd,
            latency_ms=answered.latency_ms if answered else None,
            queue_ms=task.queue_ms,
            attempts=max(1, task.failures + (1 if answered else 0)),
            repairs=task.repairs,
            outcome=error_kind,
            error_kind=error_kind,
            error=printable(error, MAX_ERROR),
            finished_at=now,
            **score_read(task.read, None, self._baseline(task.read)).as_fields(),
        )

    def _baseline(self, read: Read) -> list[JudgedCall]:
        began = self._cpu_s()
        calls = aligner_calls(read)
        self.baseline_s += self._cpu_s() - began
        return calls

    def _timed(self, work: Callable[[], Value]) -> Value:
        began = self._cpu_s()
        value = work()
        self.scoring_s += self._cpu_s() - began
        return value


def needs_analysis(read: Read) -> bool:
    return read.disposition is None


def preset_result(task: ReadTask, now: datetime) -> ReadResult:
    """A read whose source already named its ending: unplaced, filtered or malformed. Only dead letters have an error kind."""
    read = task.read
    assert read.disposition is not None
    error = None if read.reason is None else printable(read.reason, MAX_ERROR)
    rows = score_read(read, None, None).rows
    return ReadResult(read, read.disposition, rows, queue_ms=task.queue_ms, error=error, finished_at=now)
