"""Pauses between attempts."""

from __future__ import annotations

from collections.abc import Callable


def backoff_s(attempt: int, base: float, cap: float, random: Callable[[], float] = lambda: 1.0, least: float = 0.0) -> float:
    """Seconds from ``least`` to ``min(cap, base × 2^(attempt-1))``. ``attempt`` is 1 after the first failure. ``random`` returns
    values in [0, 1) (full jitter; source: AWS Architecture Blog, "Exponential Backoff and Jitter"); by default the longest pause.
    """
    doublings = min(max(attempt, 1) - 1, 60)  # 2^60 × any base is above any cap, and still a float
    return least + (min(cap, base * 2.0**doublings) - least) * random()
