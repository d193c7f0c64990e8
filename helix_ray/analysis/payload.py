"""The body of a request. Everything but the user message is the same for all requests of a run and built once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helix_ray.analysis.prompts import Ask, PromptTemplate

_SEEDS = 2**31  # providers read a seed as a 32-bit integer


class PayloadBuilder:
    """Builds chat completion bodies for one model, prompt and seed."""

    def __init__(
        self,
        template: PromptTemplate,
        *,
        model: str,
        seed: int,
        max_completion_tokens: int,
        reasoning_effort: str,
        service_tier: str,
    ) -> None:
        self.template = template
        self._seed = seed
        self._system = {"role": "system", "content": template.system}
        self._static: dict[str, Any] = {
            "model": model,
            "temperature": 0,
            "seed": seed % _SEEDS,
            "max_completion_tokens": max_completion_tokens,
            "reasoning_effort": reasoning_effort,
            "service_tier": service_tier,
            "response_format": template.schema.response_format,
        }

    def build(self, asks: Sequence[Ask], seed_offset: int = 0, max_completion_tokens: int | None = None) -> tuple[dict[str, Any], str]:
        """The body, and its user text: the only part whose length differs.

        A repair uses another seed, since the same request would get the same answer, and after a cut-off answer more completion
        tokens; None: as for every request.
        """
        text = self.template.user_text(asks)
        payload = {**self._static, "messages": [self._system, {"role": "user", "content": text}]}
        if seed_offset:
            payload["seed"] = (self._seed + seed_offset) % _SEEDS
        if max_completion_tokens is not None:
            payload["max_completion_tokens"] = max_completion_tokens
        return payload, text
