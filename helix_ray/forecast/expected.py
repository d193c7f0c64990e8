"""What an answer is expected to use and to take, before one was asked for: a stated model, no measurement of yours.

Reasoning: about 36 tokens at effort low and 132 at medium were seen on one prompt; high is this module's guess. Per call that the
answer makes, 6 more. The answer itself is written out for what the aligner finds, 2 characters a token as JSON of short strings
and numbers has. Latency: 0.037 ms a prompt token and the published speed of answers, as captured from the live service, behind a
queue of 5 ms in the median and 40 ms at the 99th percentile.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from helix_ray.analysis.tokens import CHARACTERS_PER_TOKEN

AlignedCall = tuple[int, str, str]
"""pos, ref, alt: what a right answer names."""

ANSWER_CHARACTERS_PER_TOKEN: Final = 2.0
REASONING_TOKENS_PER_CALL: Final = 6.0
PROMPT_S_PER_TOKEN: Final = 0.037e-3
QUEUE_S: Final = 0.005 * math.exp((math.log(40 / 5) / 2.3263) ** 2 / 2)
"""Mean of the log-normal queue; 2.3263: the normal distribution's 99 % quantile."""
ROUND_TRIP_S: Final = 0.05
"""To an API on the internet; 20 to 80 ms are usual."""


_LEAST_TOKENS_PER_BASE: Final = {"indexed10": 0.728}
"""Where measurements differ between windows of different lengths; the templates have the greatest, since they reserve by it."""


class _Reasoning(NamedTuple):
    """Tokens: once a request, and for each read."""

    request: float
    read: float


_REASONING: Final = {
    "none": _Reasoning(0, 0),
    "low": _Reasoning(24, 12),
    "medium": _Reasoning(100, 32),
    "default": _Reasoning(100, 32),
    "high": _Reasoning(300, 100),
}


def completion_tokens(reads: Sequence[Sequence[AlignedCall]], *, effort: str, packed: bool, work: bool) -> float:
    """Tokens of a whole answer, reasoning included, to a request about these reads' calls."""
    reasoning = _REASONING[effort]
    tokens = reasoning.request + len('{"reads":[]}') / ANSWER_CHARACTERS_PER_TOKEN * packed
    for calls in reads:
        if reasoning.request:
            tokens += reasoning.read + REASONING_TOKENS_PER_CALL * len(calls)
        if work:
            tokens += len('"work":"",') / ANSWER_CHARACTERS_PER_TOKEN + len(_work(calls)) / CHARACTERS_PER_TOKEN
        tokens += len(_answer(calls)) / ANSWER_CHARACTERS_PER_TOKEN
    return tokens


def tokens_per_base(prompt: str, most: float) -> float:
    """What to expect of the prompt ``prompt``, measured at up to ``most``."""
    return (_LEAST_TOKENS_PER_BASE.get(prompt, most) + most) / 2


def latency_s(prompt_tokens: float, answer_tokens: float, tokens_per_s: float) -> float:
    """Seconds at the API, without the way there."""
    return QUEUE_S + PROMPT_S_PER_TOKEN * prompt_tokens + answer_tokens / tokens_per_s


def _answer(calls: Sequence[AlignedCall]) -> str:
    items = [{"pos": pos, "ref": ref, "alt": alt, "confidence": 0.95} for pos, ref, alt in calls]
    return json.dumps({"id": "0" * 16, "calls": items}, separators=(",", ":"))


def _work(calls: Sequence[AlignedCall]) -> str:
    if not calls:
        return "The read equals the reference."
    return " ".join([f"Reference position {pos} is {ref}, the read has {alt}." for pos, ref, alt in calls])
