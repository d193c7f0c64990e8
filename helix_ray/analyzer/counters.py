"""What one analyzer counts, absolute since its start."""

from __future__ import annotations

from collections import Counter, deque
from decimal import Decimal

from helix_ray.records import CallState, Disposition, ReadResult, TokenUsage, failure_kind, why_left_out
from helix_ray.scoring.scores import Scores


class AnalyzerCounters:
    def __init__(self) -> None:
        self.analysed = 0  # reads with their final result, of any disposition
        self.dead_letters = 0
        self.requests = 0  # that left this machine
        self.rate_limited = 0  # of these, answered by a 429
        self.failures = 0  # requests that the API failed, or will never serve
        self.repairs = 0  # reads asked again because their answer could not be used
        self.lenient = 0  # answers read although they break the schema's letter
        self.tokens = [0, 0, 0]  # prompt, cached, completion
        self.resent = 0  # requests that left, about reads that the API failed before
        self.failed: Counter[str] = Counter()  # requests that the API failed, by `records.failure_kind`
        self.tiers: Counter[str] = Counter()  # answered reads by the service tier that answered
        self.left_out: Counter[str] = Counter()  # reads that the source named an ending for, by `records.LEFT_OUT`
        self.cost_usd = 0.0  # requests of unknown outcome at their worst case
        self.scores = Scores()
        self.latencies_ms: deque[float] = deque(maxlen=1024)

    def answered(self, usage: TokenUsage | None, cost: Decimal, latency_ms: float) -> None:
        if usage is not None:
            self.tokens[0] += usage.prompt
            self.tokens[1] += usage.cached
            self.tokens[2] += usage.completion
        self.cost_usd += float(cost)
        self.latencies_ms.append(latency_ms)

    def ended(self, state: CallState, status: int | None, error_kind: str | None, resent: bool) -> None:
        """Every request that ended, as its row says."""
        self.resent += resent and (state is not CallState.FAILED or status is not None)
        if (kind := failure_kind(state, status, error_kind)) is not None:
            self.failed[kind] += 1

    def finished(self, result: ReadResult) -> None:
        self.analysed += 1
        if result.disposition is Disposition.DEAD_LETTER:
            self.dead_letters += 1
        elif result.service_tier is not None:
            self.tiers[result.service_tier] += 1
        elif (preset := result.read.disposition) is not None:
            self.left_out[why_left_out(preset, result.read.reason)] += 1
        self.scores.add(result)
