"""How long answers take, put on one scale whatever their length, and a measurement of that at one number in flight."""

from __future__ import annotations

from math import exp, log, sqrt

_MEMORY = 0.9  # per window
_PRIOR_SHARE = 0.5
_PRIOR_WEIGHT = 5.0
_LEAST_S = 1e-4


class LengthModel:
    """Latency grows with the completion: ``latency ∝ (1 - share) + share × tokens / usual tokens``.

    ``share``, 0 to 1, is what the completion's length explains of a usual latency (least squares within each window, whose
    load is about one: what load adds is common to all). Round trip, queue and prompt are the rest.
    """

    def __init__(self) -> None:
        self._usual: float | None = None  # completion tokens
        self._xx = _PRIOR_WEIGHT
        self._xy = _PRIOR_WEIGHT * _PRIOR_SHARE
        self._share = _PRIOR_SHARE

    def level(self, latency_s: float, completion_tokens: int) -> float:
        """The logarithm of the latency that this answer would have had at the usual length."""
        if self._usual is None:
            self._usual = max(1.0, float(completion_tokens))
        return log(max(_LEAST_S, latency_s)) - log(self._expected(completion_tokens))

    def learn(self, answers: list[tuple[float, int]]) -> float:
        """From the latencies and completion tokens of one window; returns what `level` rises by, on average over them."""
        assert self._usual is not None
        before = [self._expected(tokens) for _, tokens in answers]
        mean_s = sum(latency_s for latency_s, _ in answers) / len(answers)
        mean_tokens = max(1.0, sum(tokens for _, tokens in answers) / len(answers))
        self._usual += (mean_tokens - self._usual) * len(answers) / (len(answers) + 50)
        lengths = [tokens / mean_tokens - 1.0 for _, tokens in answers]
        self._xx = self._xx * _MEMORY + sum(x * x for x in lengths)
        self._xy = self._xy * _MEMORY + sum(x * (each[0] / mean_s - 1.0) for x, each in zip(lengths, answers, strict=True))
        self._share = min(0.98, max(0.0, self._xy / self._xx)) if self._xx > 0.01 else _PRIOR_SHARE
        return sum(log(old / self._expected(tokens)) for old, (_, tokens) in zip(before, answers, strict=True)) / len(answers)

    def _expected(self, tokens: int) -> float:
        assert self._usual is not None
        return 1.0 - self._share + self._share * max(0, tokens) / self._usual


class Window:
    """Answers that came while about one number of requests was in flight."""

    def __init__(self, begins_at: float) -> None:
        self.begins_at = begins_at  # answers before that are of requests sent under another limit
        self.answers: list[tuple[float, int]] = []
        self._sum = self._squares = 0.0
        self._log_in_flight = 0.0

    def add(self, level: float, latency_s: float, completion_tokens: int, in_flight: int) -> None:
        self.answers.append((latency_s, completion_tokens))
        self._sum += level
        self._squares += level * level
        self._log_in_flight += log(max(1, in_flight))

    @property
    def count(self) -> int:
        return len(self.answers)

    @property
    def mean(self) -> float:
        """Of the logarithms: one answer that hangs does not move it."""
        return self._sum / self.count

    @property
    def deviation(self) -> float:
        return sqrt(max(0.0, self._squares / self.count - self.mean**2))

    @property
    def in_flight(self) -> float:
        """The geometric mean."""
        return exp(self._log_in_flight / self.count)
