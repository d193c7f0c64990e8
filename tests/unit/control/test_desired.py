"""From commands to the desired state, and back from the ledger."""

import math
from dataclasses import replace

import pytest

from helix_ray.control.desired import MAX_SPIKE_S, Change, Rejection, encode_change, plan, replay, source_rate
from helix_ray.records import Action, Command, DesiredState

NOW = 1000.0


def ask(state: DesiredState, action: Action, value: float | None = None, seconds: float | None = None) -> Change | Rejection:
    return plan(state, Command("id", action, value, seconds), NOW, configured_rate=10.0)


def after(*asked: tuple[Action, float | None, float | None]) -> DesiredState:
    state = DesiredState()
    for action, value, seconds in asked:
        change = ask(state, action, value, seconds)
        assert isinstance(change, Change), change
        state = change.state
    return state


def test_targets_are_absolute() -> None:
    once = after((Action.RATE, 20, None))
    twice = after((Action.RATE, 20, None), (Action.RATE, 20, None))
    assert (once.rate_per_s, twice.rate_per_s) == (20, 20)
    assert after((Action.PAUSE, None, None), (Action.RESUME, None, None)).paused is False
    assert after((Action.RATE, 20, None), (Action.RATE, None, None)).rate_per_s is None


@pytest.mark.parametrize(("value", "clamped"), [(0.0, 0.001), (-5, 0.001), (1e9, 1e7), (3, 3)])
def test_rates_are_clamped_and_say_so(value: float, clamped: float) -> None:
    change = ask(DesiredState(), Action.RATE, value)
    assert isinstance(change, Change)
    assert change.state.rate_per_s == clamped
    assert bool(change.note) is (value != clamped)


@pytest.mark.parametrize(("value", "clamped"), [(0.0, 0.000_001), (-5, 0.000_001), (2e6, 1e6), (2.5, 2.5)])
def test_a_budget_is_clamped_and_says_so(value: float, clamped: float) -> None:
    change = ask(DesiredState(), Action.BUDGET, value)
    assert isinstance(change, Change)
    assert change.state.max_cost_usd == clamped
    assert bool(change.note) is (value != clamped)
    assert after((Action.BUDGET, 2, None), (Action.BUDGET, None, None)).max_cost_usd is None


@pytest.mark.parametrize(("value", "clamped"), [(0, 1), (-3, 1), (5000, 1024), (7, 7)])
def test_a_concurrency_is_a_whole_number_of_requests_and_clamped(value: float, clamped: int) -> None:
    change = ask(DesiredState(), Action.CONCURRENCY, value)
    assert isinstance(change, Change)
    assert change.state.requests_in_flight == clamped
    assert isinstance(change.state.requests_in_flight, int)
    assert bool(change.note) is (value != clamped)
    assert after((Action.CONCURRENCY, 8, None), (Action.CONCURRENCY, None, None)).requests_in_flight is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_a_number_is_refused(value: float) -> None:
    assert isinstance(ask(DesiredState(), Action.RATE, value), Rejection)


def test_a_spike_is_bounded_in_time_and_lifts_the_rate_while_it_lasts() -> None:
    state = after((Action.RATE, 20, None), (Action.SPIKE, 500, 10_000))
    assert state.spike_until == NOW + MAX_SPIKE_S
    assert source_rate(state, 5, NOW) == 500
    assert source_rate(state, 5, NOW + MAX_SPIKE_S) == 20
    assert source_rate(DesiredState(), 5, NOW) == 5


def test_a_spike_of_a_source_without_a_rate_is_refused_with_the_cure() -> None:
    spike = Command("id", Action.SPIKE)
    refused = plan(DesiredState(), spike, NOW, None)
    assert isinstance(refused, Rejection)
    assert "helix control rate" in refused.message
    assert isinstance(plan(DesiredState(rate_per_s=5.0), spike, NOW, None), Change)
    assert isinstance(plan(DesiredState(), replace(spike, seconds=0), NOW, None), Change), "ending one is always possible"


def test_a_spike_never_slows_the_source() -> None:
    def rate(now: float | None, spike: float | None, configured: float | None) -> float | None:
        return source_rate(after((Action.RATE, now, None), (Action.SPIKE, spike, 30)), configured, NOW)

    assert rate(200, 50, None) == 200
    assert rate(None, 50, 100) == 100
    assert rate(None, 50, 20) == 50
    assert rate(None, 50, None) is None
    assert rate(20, None, 5) is None


def test_an_ending_run_takes_no_command_but_a_harder_end() -> None:
    draining = after((Action.PAUSE, None, None), (Action.DRAIN, None, None))
    assert (draining.ending, draining.paused) == ("drain", False)
    assert isinstance(ask(draining, Action.PAUSE), Rejection)
    assert isinstance(ask(draining, Action.DRAIN), Rejection)
    stopping = ask(draining, Action.STOP)
    assert isinstance(stopping, Change)
    assert isinstance(ask(stopping.state, Action.STOP), Rejection)


def test_the_log_rebuilds_the_state() -> None:
    asked = [(Action.RATE, 20, None), (Action.SPIKE, None, 30), (Action.PAUSE, None, None), (Action.PAUSE, None, None)]
    state, log = DesiredState(), []
    for action, value, seconds in asked:
        change = ask(state, action, value, seconds)
        assert isinstance(change, Change)
        log.append(encode_change(state, change.state)[1])
        state = change.state
    assert replay(log) == state
    assert replay([log[0], None, *log[1:]]) == state


@pytest.mark.parametrize("text", ["[]", '{"version": 3}', '{"shell": "rm"}', "nonsense"])
def test_a_foreign_log_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        replay([text])
