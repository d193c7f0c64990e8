"""What becomes of each read of a request that brought no usable answer: tried again, asked again alone, or a dead letter."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal, NamedTuple

from helix_ray.analyzer.counters import AnalyzerCounters
from helix_ray.analyzer.leased_reads import ReadTask
from helix_ray.analyzer.read_request import ReadRequest, Sent
from helix_ray.analyzer.read_results import Answered, ResultMaker
from helix_ray.clock import Clock
from helix_ray.config import RetryConfig
from helix_ray.providers.readings import AnswerError, Verdict, VerdictKind
from helix_ray.records import ReadResult
from helix_ray.throttle.messages import Refusal
from helix_ray.waiting.backoff import backoff_s

MAX_REPAIRS = 1
LEAST_COMPLETION_TOKENS = 64
"""Below this no answer fits, whatever the model: a request that is too large with so little room is not shrunk further."""
MAX_UNATTRIBUTED = 3
"""Times ``retry.max_attempts``: failures of a read that may be an outage's, before it is given up. Else it could hold a run for ever."""


class NextAction(Enum):
    """What to do with a read after a request."""

    STORE = auto()  # `result` is final
    AGAIN = auto()  # at once: it lost nothing (a 429, a withdrawn permit, a smaller request), or its answer is to be repaired
    LATER = auto()  # after `delay_s`, having failed
    DROP = auto()  # its lease was lost before anything was sent
    DONE = auto()  # it has its row
    REFUSED = auto()  # by the throttle (`refusal`) or for good by the provider


class ReadOutcome(NamedTuple):
    action: NextAction
    result: ReadResult | None = None
    delay_s: float = 0.0
    refusal: Refusal | None = None


ReadOutcomes = list[tuple[ReadTask, ReadOutcome]]
"""One outcome for each read of a request."""

AGAIN = ReadOutcome(NextAction.AGAIN)
DROP = ReadOutcome(NextAction.DROP)
DONE = ReadOutcome(NextAction.DONE)
UNSAVED = ReadOutcome(NextAction.LATER, delay_s=1.0)
"""Its result waits in the sink. If it is lost there, the read is asked about after all."""


class Attempts:
    """Counts this analyzer's requests, and knows the newest that brought a completion.

    A failure spends an attempt of a read only if a request that was sent after the read's previous failure brought one: then the
    API works for other reads. A read's first failure proves nothing, and in an outage no failure does.
    """

    def __init__(self, max_attempts: int) -> None:
        self._max_attempts = max_attempts
        self._sent = 0
        self._newest_answered = 0

    def sent(self) -> int:
        """The number of a request that is about to be sent."""
        self._sent += 1
        return self._sent

    def answered(self, number: int) -> None:
        self._newest_answered = max(self._newest_answered, number)

    def failed(self, task: ReadTask, spends: bool) -> bool:
        """Count a failure. True: it was the read's last."""
        attributed = task.failed_after is not None and self._newest_answered > task.failed_after
        task.rests += 1
        task.failed_after = self._sent
        if spends and attributed:
            task.failures += 1
        elif spends:
            task.unattributed_failures += 1
        return task.failures >= self._max_attempts or task.unattributed_failures >= MAX_UNATTRIBUTED * self._max_attempts


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Two budgets a read: ``retry.max_attempts`` for failures of the API, one repair for an answer that cannot be used.

    request ─┬─ WAIT, withdrawn ─────► again, unchanged
             ├─ SHRINK ──────────────► again, with half the reads; a single read with half the room ─► dead letter at the least
             ├─ unusable, REPAIR ────► again, alone, `repairs` + 1 ───────────────► dead letter after `MAX_REPAIRS`
             ├─ RETRY, RETRY_ONCE ───► later, `failures` or `unattributed_failures` + 1 ─► dead letter after the last attempt
             ├─ OTHER_TIER ──────────► later, or again `on_demand`
             ├─ DEAD_LETTER ─────────► several reads: again, each alone; a single one is a dead letter
             └─ STOP ────────────────► refused: the run ends
    """

    results: ResultMaker
    retry: RetryConfig
    on_capacity_exceeded: Literal["wait", "on_demand"]
    attempts: Attempts
    counters: AnalyzerCounters
    clock: Clock
    rng: random.Random

    def after(self, sent: Sent, verdict: Verdict, text: str) -> ReadOutcomes:
        """For every verdict but an answer. ``text``: the failure, as a dead letter states it."""
        tasks = sent.request.tasks
        match verdict.kind:
            case VerdictKind.WAIT:
                return for_each(tasks, AGAIN)
            case VerdictKind.STOP:
                return for_each(tasks, ReadOutcome(NextAction.REFUSED, refusal=Refusal("refused", text[:500])))
            case VerdictKind.SHRINK:
                return self.smaller(sent.request) or [self._never(sent, tasks[0], "request_too_large", text)]
            case VerdictKind.OTHER_TIER:
                return self._no_capacity(sent, verdict)
            case VerdictKind.REPAIR:
                return self._not_generated(sent, text)
            case VerdictKind.RETRY_ONCE if not any(task.unprocessable_once for task in tasks):
                for task in tasks:
                    task.unprocessable_once = True
                return self._failed(sent, verdict, text)
            case VerdictKind.RETRY:
                return self._failed(sent, verdict, text)
            case _:
                return self._rejected(sent, text)

    def smaller(self, request: ReadRequest) -> ReadOutcomes:
        """Split a request that is too large into two of half its reads, or halve the room for a single answer; empty: it cannot."""
        tasks = request.tasks
        if len(tasks) > 1:
            for task in tasks:
                task.max_batch = (len(tasks) + 1) // 2
            return for_each(tasks, AGAIN)
        tokens = max(LEAST_COMPLETION_TOKENS, request.max_completion_tokens // 2)
        if tokens >= request.max_completion_tokens:
            return []
        tasks[0].max_completion_tokens = tokens
        return [(tasks[0], AGAIN)]

    def unusable(self, task: ReadTask, error: AnswerError, answered: Answered) -> ReadOutcome:
        """An answer that was paid for has nothing for this read: it is asked again, alone, or that was its last chance."""
        task.unusable.append(answered.call_id)
        refused = error.kind == "refused"  # then the model has answered
        if not refused and self._repair(task, more_room=error.kind == "truncated"):
            return AGAIN
        result = self.results.dead_letter(task, error.kind, error.message, self.clock.now(), call_id=answered.call_id, answered=answered)
        return ReadOutcome(NextAction.STORE, result)

    def _not_generated(self, sent: Sent, text: str) -> ReadOutcomes:
        """The provider found the model's answer to break the schema and kept it: most often its room was too small."""
        return [
            (task, AGAIN) if self._repair(task, more_room=True) else self._dead_letter(sent, task, "schema_error", text)
            for task in sent.request.tasks
        ]

    def _repair(self, task: ReadTask, more_room: bool) -> bool:
        if task.repairs >= MAX_REPAIRS:
            return False
        task.repairs += 1
        task.max_batch = 1
        task.more_room = more_room
        self.counters.repairs += 1
        return True

    def _failed(self, sent: Sent, verdict: Verdict, text: str) -> ReadOutcomes:
        """Reads that have attempts left rest and come back together."""
        tasks = sent.request.tasks
        self.counters.failures += 1
        last = [self.attempts.failed(task, verdict.spends) for task in tasks]
        later = self._rest(tasks, verdict)
        return [
            self._dead_letter(sent, task, "api_failed", f"{text} (the last of {task.failures + task.unattributed_failures} attempts)")
            if given_up
            else (task, later)
            for task, given_up in zip(tasks, last, strict=True)
        ]

    def _no_capacity(self, sent: Sent, verdict: Verdict) -> ReadOutcomes:
        """No failure: the flex tier promises no room. Its reads are asked about later, or at once in the other tier."""
        tasks = sent.request.tasks
        if self.on_capacity_exceeded == "on_demand" and sent.permit.service_tier == "flex":
            for task in tasks:
                task.on_demand = True
            return for_each(tasks, AGAIN)
        for task in tasks:
            task.rests += 1
        return for_each(tasks, self._rest(tasks, verdict))

    def _rejected(self, sent: Sent, text: str) -> ReadOutcomes:
        """Handle a permanent rejection (4xx). The reads of a packed request are retried one by one, so that a bad read does not
        fail the others. A single read becomes a dead letter.
        """
        tasks = sent.request.tasks
        if len(tasks) > 1:
            for task in tasks:
                task.max_batch = 1
            return for_each(tasks, AGAIN)
        return [self._never(sent, tasks[0], "api_failed", text)]

    def _rest(self, tasks: list[ReadTask], verdict: Verdict) -> ReadOutcome:
        rests = max(task.rests for task in tasks)
        delay_s = backoff_s(rests, self.retry.base_delay_s, self.retry.max_delay_s, self.rng.random)
        return ReadOutcome(NextAction.LATER, delay_s=max(delay_s, verdict.retry_after_s or 0.0))

    def _never(self, sent: Sent, task: ReadTask, error_kind: str, text: str) -> tuple[ReadTask, ReadOutcome]:
        self.counters.failures += 1
        task.failures += 1
        return self._dead_letter(sent, task, error_kind, text)

    def _dead_letter(self, sent: Sent, task: ReadTask, error_kind: str, text: str) -> tuple[ReadTask, ReadOutcome]:
        result = self.results.dead_letter(task, error_kind, text, self.clock.now(), call_id=sent.call_id)
        return task, ReadOutcome(NextAction.STORE, result)


def for_each(tasks: list[ReadTask], outcome: ReadOutcome) -> ReadOutcomes:
    return [(task, outcome) for task in tasks]
