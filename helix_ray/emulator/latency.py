"""How long an answer takes: the network, queueing, reading the prompt, writing the completion.

Figures from captured live responses: 0.037 ms per prompt token that the cache does not give; completions at the model's
published speed; the queue 5 ms in the median and 40 ms at the 99th percentile when idle (log-normal), longer the more requests
are being served.
"""

from __future__ import annotations

import random
from math import log
from typing import NamedTuple

from helix_ray.emulator.models import Model

PROMPT_S_PER_TOKEN = 0.037e-3
_QUEUE_MU = log(0.005)
_QUEUE_SIGMA = log(40 / 5) / 2.3263  # 2.3263: the normal distribution's 99 % quantile
_BUSY = 64  # requests in flight at which the queue takes twice as long as when idle


class Timing(NamedTuple):
    """Seconds, exactly as they will be slept and, but for the round trip, reported."""

    queue_s: float
    prompt_s: float
    completion_s: float
    round_trip_s: float

    @property
    def total_s(self) -> float:
        """Groq's ``total_time``, which leaves the queue out."""
        return self.prompt_s + self.completion_s

    @property
    def service_s(self) -> float:
        """From the arrival at the service until the answer leaves it."""
        return self.queue_s + self.prompt_s + self.completion_s

    def stretched(self, factor: float) -> Timing:
        """The service took ``factor`` times as long, since it had to serve others too."""
        queue, prompt, completion, round_trip = self
        return Timing(round(queue * factor, 9), round(prompt * factor, 9), round(completion * factor, 9), round_trip)


NO_TIME = Timing(0.0, 0.0, 0.0, 0.0)


class LatencyModel:
    def __init__(self, scale: float, round_trip_s: float, seed: int) -> None:
        self.scale = scale
        self.round_trip_s = round_trip_s  # in the middle; it varies by 60 % either way
        self._random = random.Random(seed)  # noqa: S311  not for secrets

    def draw(self, model: Model, prompt_tokens: int, completion_tokens: int, in_flight: int) -> Timing:
        """``prompt_tokens``: those to be read, without cached ones."""
        scale = self.scale
        if scale == 0:
            return NO_TIME
        queue = self._random.lognormvariate(_QUEUE_MU, _QUEUE_SIGMA) * (1 + in_flight / _BUSY)
        return Timing(
            round(scale * queue, 9),
            round(scale * prompt_tokens * PROMPT_S_PER_TOKEN, 9),
            round(scale * completion_tokens / model.completion_tokens_per_s, 9),
            round(scale * self.round_trip_s * (0.4 + 1.2 * self._random.random()), 9),
        )
