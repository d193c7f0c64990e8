"""What other clients are taken to use of a shared limit."""

from __future__ import annotations

import pytest

from helix_ray.throttle.limits.bucket import OtherClients

REFILL = 600.0


def test_the_rate_that_readings_show_is_found() -> None:
    other_clients = OtherClients()
    for second in range(60):
        other_clients.took(300.0, float(second), REFILL)
    assert other_clients.rate == pytest.approx(300, rel=0.02)
    assert other_clients.margin(61.0) == pytest.approx(3 * other_clients.rate)


def test_a_large_surprise_is_no_rate_that_a_limit_could_bear() -> None:
    other_clients = OtherClients()
    other_clients.took(0.0, 0.0, REFILL)
    other_clients.took(1_200_000.0, 0.1, REFILL)
    assert other_clients.rate == REFILL
    assert other_clients.most == 5 * REFILL


def test_silence_of_the_others_is_believed_within_seconds() -> None:
    other_clients = OtherClients()
    other_clients.took(0.0, 0.0, REFILL)
    other_clients.took(60_000.0, 1.0, REFILL)
    for second in range(2, 32):
        other_clients.took(0.0, float(second), REFILL)
    assert other_clients.rate < 0.06 * REFILL
