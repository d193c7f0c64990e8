import os
import signal

import pytest

from helix_ray.session.signals import Signals


def test_before_it_is_armed_a_signal_interrupts() -> None:
    with Signals(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_armed_signals_are_counted_and_wake_the_driver() -> None:
    with Signals() as signals:
        signals.arm()
        signal.raise_signal(signal.SIGINT)
        signals.wait(60.0)
        assert (signals.count, signals.force) == (1, False)
        signal.raise_signal(signal.SIGTERM)
        assert signals.force


def test_earlier_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Signals():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_only_a_second_signal_sets_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr("helix_ray.session.signals.LEAVE_WITHIN_S", 0.0)
    with Signals() as signals:
        signals.arm()
        signal.raise_signal(signal.SIGINT)
        signals.leave_in_time(130)
        assert left == []
        signal.raise_signal(signal.SIGINT)
        signals.leave_in_time(130)
        for _ in range(200):
            if left:
                break
            signals.wait(0.05)
    assert left == [130]
