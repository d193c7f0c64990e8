import os
import signal
from collections.abc import Iterator

import pytest

from helix_ray.session.signals import Signals, interrupt_on_signals

ASK_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _not_ignored() -> Iterator[None]:
    """A process that was started under nohup, or in the background of a shell, ignores some of them."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ASK_TO_END}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ASK_TO_END)
def test_before_it_is_armed_a_signal_interrupts(number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Signals():
        signal.raise_signal(number)
    assert "Interrupted" in capfd.readouterr().err


def test_an_interruption_that_was_turned_into_an_error_or_lost_is_raised_again() -> None:
    with pytest.raises(KeyboardInterrupt), Signals():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise RuntimeError("Ray did not start") from None
    signals = Signals()
    with pytest.raises(KeyboardInterrupt), signals:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signals.arm()
        pytest.fail("it went on")


def test_a_hangup_that_is_ignored_stays_so() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        interrupt_on_signals()
        with Signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


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
