"""The six limits of the provider: their window, and how much of each a request takes."""

from __future__ import annotations

from typing import NamedTuple

MINUTE_S = 60.0
DAY_S = 86_400.0


class Kind(NamedTuple):
    window_s: float
    requests: int
    prompt: int
    completion: int

    def amount(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What a request takes. At admission ``completion_tokens`` is the most it may use; cached prompt tokens are free
        once the request is settled.
        """
        return float(self.requests + self.prompt * prompt_tokens + self.completion * completion_tokens)


KINDS: dict[str, Kind] = {
    "RPM": Kind(MINUTE_S, 1, 0, 0),
    "RPD": Kind(DAY_S, 1, 0, 0),
    "TPM": Kind(MINUTE_S, 0, 1, 1),
    "TPD": Kind(DAY_S, 0, 1, 1),
    "ITPM": Kind(MINUTE_S, 0, 1, 0),
    "OTPM": Kind(MINUTE_S, 0, 0, 1),
}
