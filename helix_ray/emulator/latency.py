"""How long an answer takes: queueing, reading the prompt, writing the completion.

Figures from captured live responses: 0.037 ms per prompt token; completions at the model's published speed; the queue
5 ms in the median and 40 ms at the 99th percentile when idle (log-normal), longer the more requests are being served.
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
    """Seconds, exactly as they will be slept and reported."""

    queue_s: float
    prompt_s: float
    completion_s: float

    @property
    def total_s(self) -> float:
        """Groq's ``total_time``, which leaves the queue out."""
        return self.prompt_s + self.completion_s


NO_TIME = Timing(0.0, 0.0, 0.0)


class LatencyModel:
    def __init__(self, scale: float, seed: int) -> None:
        self._scale = scale
        self._random = random.Random(seed)  # noqa: S311  not for secrets

    def draw(self, model: Model, prompt_tokens: int, completion_tokens: int, in_flight: int) -> Timing:
        scale = self._scale
        if scale == 0:
            return NO_TIME
        queue = self._random.lognormvariate(_QUEUE_MU, _QUEUE_SIGMA) * (1 + in_flight / _BUSY)
        return Timing(
            round(scale * queue, 9),
            round(scale * prompt_tokens * PROMPT_S_PER_TOKEN, 9),
            round(scale * completion_tokens / model.completion_tokens_per_s, 9),
        )
