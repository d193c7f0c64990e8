"""How long a retry waits."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from helix_ray.waiting.backoff import backoff_s

ATTEMPTS, BASES, CAPS = st.integers(-1, 10_000), st.floats(0.001, 100), st.floats(0.001, 1000)


@given(ATTEMPTS, BASES, CAPS, st.floats(0, 1, exclude_max=True))
def test_a_retry_waits_at_most_the_cap(attempt: int, base: float, cap: float, share: float) -> None:
    assert 0 <= backoff_s(attempt, base, cap, lambda: share) <= cap


def test_the_window_doubles() -> None:
    assert [backoff_s(attempt, 0.5, 30, lambda: 0.5) for attempt in (1, 2, 3, 8)] == [0.25, 0.5, 1.0, 15.0]


@given(ATTEMPTS, BASES, CAPS)
def test_without_jitter_it_is_the_longest_pause_and_never_falls(attempt: int, base: float, cap: float) -> None:
    pause_s = backoff_s(attempt, base, cap)
    assert pause_s == min(cap, base * 2.0 ** min(max(attempt, 1) - 1, 60))
    assert backoff_s(attempt + 1, base, cap) >= pause_s


@given(ATTEMPTS, st.integers(0, 1000))
def test_a_floor_moves_the_lower_end_of_the_jitter(attempt: int, seed: int) -> None:
    ceiling = backoff_s(attempt, 0.2, 5.0)
    assert backoff_s(attempt, 0.2, 5.0, Random(seed).random, least=0.05) == Random(seed).uniform(0.05, ceiling)
