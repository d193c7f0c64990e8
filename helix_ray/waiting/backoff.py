"""Delays between attempts."""

from __future__ import annotations

from collections.abc import Callable


def backoff_s(attempt: int, base: float, cap: float, random: Callable[[], float]) -> float:
    """Full jitter: a uniform share of ``min(cap, base × 2^(attempt-1))`` seconds. ``attempt`` is 1 after the first failure;
    ``random`` returns values in [0, 1). Source: AWS Architecture Blog, "Exponential Backoff and Jitter".
    """
    doublings = min(max(attempt, 1) - 1, 60)  # 2^60 × any base is above any cap, and still a float
    return random() * min(cap, base * 2.0**doublings)
