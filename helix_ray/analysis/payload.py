"""The body of a request. Everything but the user message is the same for all reads of a run and built once."""

from __future__ import annotations

from typing import Any

from helix_ray.analysis.prompts import PromptTemplate
from helix_ray.analysis.schema import RESPONSE_FORMAT


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
        self._template = template
        self._system = {"role": "system", "content": template.system}
        self._static: dict[str, Any] = {
            "model": model,
            "temperature": 0,
            "seed": seed % 2**31,  # providers read it as a 32-bit integer
            "max_completion_tokens": max_completion_tokens,
            "reasoning_effort": reasoning_effort,
            "service_tier": service_tier,
            "response_format": RESPONSE_FORMAT,
        }

    def build(self, opaque_id: str, ref_seq: str, seq: str) -> tuple[dict[str, Any], str]:
        """The body, and its user text: the only part whose length differs."""
        text = self._template.user_text(opaque_id, ref_seq, seq)
        return {**self._static, "messages": [self._system, {"role": "user", "content": text}]}, text
