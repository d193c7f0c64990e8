"""The prompt cache: the longest beginning that a prompt shares with a recent one of the same model."""

from __future__ import annotations

from collections import OrderedDict

from helix_ray.emulator.checks import ChatRequest
from helix_ray.emulator.draws import Draws
from helix_ray.emulator.tokens import text_tokens, total_prompt_tokens

LEAST_TOKENS = 128  # shorter beginnings are not cached; Groq does not publish its figure
TTL_S = 2 * 3600
_MOST_PROMPTS = 32  # remembered per model
_SEPARATOR = "\n\x00\n"  # between messages, so that none runs into the next


class PromptCache:
    """``hit_rate`` is the chance that a prompt that could be served from the cache is. ``now`` is in monotonic seconds."""

    def __init__(self, hit_rate: float, seed: int) -> None:
        self.hit_rate = hit_rate
        self._draws = Draws(f"{seed}|cache")
        self._prompts: dict[str, OrderedDict[str, float]] = {}  # by model: text to when it was last used

    def cached_tokens(self, request: ChatRequest, now: float) -> int:
        """Prompt tokens that need not be read again, 0 or from 128 on."""
        prompts = self._prompts.get(request.model.id)
        if self.hit_rate == 0 or not prompts or self._draws.uniform() >= self.hit_rate:
            return 0
        text, shared, source = _text(request), 0, None
        for other, used_at in prompts.items():
            if now - used_at < TTL_S and other[: shared + 1] == text[: shared + 1]:
                shared, source = _shared(text, other), other
        if source is None:
            return 0
        own_schema = request.schema_json or ""
        if shared < len(own_schema):
            return 0  # the schema stands first: everything behind it differs in place
        tokens = min(request.prompt_tokens, total_prompt_tokens(text_tokens(text[len(own_schema) : shared]), request.schema_json))
        if tokens < LEAST_TOKENS:
            return 0
        prompts[source] = now
        return tokens

    def remember(self, request: ChatRequest, now: float) -> None:
        """Call it when the prompt has been read: until then others find nothing of it."""
        if self.hit_rate == 0:
            return
        prompts = self._prompts.setdefault(request.model.id, OrderedDict())
        text = _text(request)
        prompts[text] = now
        prompts.move_to_end(text)
        if len(prompts) > _MOST_PROMPTS:
            prompts.popitem(last=False)


def _text(request: ChatRequest) -> str:
    """A prompt as the model reads it: the schema, then the messages."""
    return (request.schema_json or "") + _SEPARATOR.join([message["content"] for message in request.conversation])


def _shared(first: str, second: str) -> int:
    """Characters that both begin with."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
