"""The body of a 200, in the exact shape of captured live responses, and the text that fits into its token budget."""

from __future__ import annotations

import json
import random
from typing import NamedTuple

from helix_ray.emulator.answers import Sent
from helix_ray.emulator.checks import ChatRequest
from helix_ray.emulator.latency import Timing
from helix_ray.emulator.scripted_model import ScriptedAnswer
from helix_ray.emulator.tokens import ANSWER_CHARS_PER_TOKEN, answer_tokens

# Tokens of reasoning by effort: least, and how many more at most. Captured calls used about 36 at low and 130 at medium.
_REASONING = {"none": (0, 0), "low": (24, 24), "medium": (100, 64), "default": (100, 64), "high": (300, 200)}
_REASONING_TOKENS_PER_CALL = 6
_REASONING_TEXT = "Emulated reasoning: the pair is compared base by base and scripted errors are applied. " * 60

SYSTEM_FINGERPRINT = "fp_emulator00"
"""As long as a real one, and stored with every row: a scripted answer stays recognisable wherever it is copied."""

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]


class Text(NamedTuple):
    """What the model wrote, cut to its budget."""

    content: str
    refused: bool  # then the content is the refusal
    reasoning: str
    reasoning_tokens: int
    completion_tokens: int
    finish_reason: str


def write_text(request: ChatRequest, sent: Sent, answers: list[ScriptedAnswer]) -> Text:
    """Reasoning first, about one read after the other, then the content. A budget too small for both cuts the content, as on
    the real service even in strict mode; one too small for the reasoning leaves none.
    """
    least, spread = _REASONING[request.effort]
    reasoning = least
    if least:
        for answer in answers:
            reasoning += int(spread * answer.effort_draw) + _REASONING_TOKENS_PER_CALL * answer.true_calls
    content = sent.content
    needed = reasoning + answer_tokens(content)
    budget = request.max_completion_tokens
    finish_reason = "stop"
    if needed > budget:
        finish_reason, needed = "length", budget
        reasoning = min(reasoning, budget)
        content = content[: (budget - reasoning) * ANSWER_CHARS_PER_TOKEN]
    return Text(content, sent.refused, _REASONING_TEXT[: 4 * reasoning], reasoning, needed, finish_reason)


class BodyWriter:
    """Writes success bodies; ids come from a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  ids, not secrets

    def request_id(self, unix_s: float) -> str:
        """``req_`` and a ULID: 48 bits of milliseconds, 80 random bits, in Crockford's base 32."""
        value = (int(unix_s * 1000) & (1 << 48) - 1) << 80 | self._random.getrandbits(80)
        return "req_" + "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])

    def success(self, request: ChatRequest, request_id: str, text: Text, timing: Timing, unix_s: float, cached_tokens: int = 0) -> bytes:
        model = request.model.id
        digits = f"{self._random.getrandbits(128):032x}"
        uuid4 = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"
        seed = self._random.getrandbits(31) if request.seed is None else request.seed
        content = json.dumps(text.content)
        if text.refused:
            content = f'null,"refusal":{content}'
        cached = f'"prompt_tokens_details":{{"cached_tokens":{cached_tokens}}},' if cached_tokens else ""
        reasoning = f',"reasoning":{json.dumps(text.reasoning)}' if request.show_reasoning else ""
        return (
            f'{{"id":"chatcmpl-{uuid4}","object":"chat.completion","created":{int(unix_s)},"model":"{model}",'
            f'"choices":[{{"index":0,"message":{{"role":"assistant","content":{content}{reasoning}}},'
            f'"logprobs":null,"finish_reason":"{text.finish_reason}"}}],'
            f'"usage":{{"queue_time":{timing.queue_s:.9f},"prompt_tokens":{request.prompt_tokens},"prompt_time":{timing.prompt_s:.9f},'
            f'"completion_tokens":{text.completion_tokens},"completion_time":{timing.completion_s:.9f},'
            f'"total_tokens":{request.prompt_tokens + text.completion_tokens},"total_time":{timing.total_s:.9f},'
            f'{cached}"completion_tokens_details":{{"reasoning_tokens":{text.reasoning_tokens}}}}},'
            f'"usage_breakdown":null,"system_fingerprint":"{SYSTEM_FINGERPRINT}",'
            f'"x_groq":{{"id":"{request_id}","seed":{seed}}},"service_tier":"{request.service_tier}"}}'
        ).encode()
