"""From commands to the state that every actor should be in, and how the ledger keeps its changes.

Absolute values: repeating a command changes nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

from helix_ray.records import Action, Command, DesiredState

MIN_RATE, MAX_RATE = 0.001, 1e7  # reads/s
MAX_SPIKE_S = 300.0
DEFAULT_SPIKE_S = 30.0
MIN_BUDGET, MAX_BUDGET = 0.000_001, 1e6  # US dollars; as throttle.max_cost_usd
MAX_IN_FLIGHT = 1024  # requests of one analyzer; as analyzer.requests_in_flight
ENDINGS = (Action.DRAIN, Action.STOP)
_RATE, _BUDGET, _IN_FLIGHT = "{:g} reads/s", "${:g}", "{} requests in flight an analyzer"
_FIELDS = frozenset(field.name for field in fields(DesiredState)) - {"version"}


@dataclass(frozen=True, slots=True)
class Change:
    """What a command would do: the next state and the words for it."""

    state: DesiredState
    value_from: str
    value_to: str
    note: str = ""  # what was clamped


@dataclass(frozen=True, slots=True)
class Rejection:
    message: str


def plan(state: DesiredState, command: Command, unix_now: float, configured_rate: float | None) -> Change | Rejection:
    """The change that ``command`` asks for, clamped, or why it makes no sense. The version grows by one with every change.

    ``configured_rate``: `source.rate_per_s`.
    """
    if state.ending is not None and not (state.ending == "drain" and command.action is Action.STOP):
        if command.action in ENDINGS:
            return Rejection(f"the run is already asked to {state.ending}")
        return Rejection(f"the run is ending ({state.ending}); nothing but its end can change now")
    for name, value in (("value", command.value), ("seconds", command.seconds)):
        if value is not None and not math.isfinite(value):
            return Rejection(f"{name} must be a finite number, found {value}")
    next_state = replace(state, version=state.version + 1)
    if command.action in (Action.PAUSE, Action.RESUME):
        flowing = replace(next_state, paused=command.action is Action.PAUSE)
        return Change(flowing, _flow(state), _flow(flowing))
    if command.action is Action.RATE:
        rate, note = _clamp(command.value, MIN_RATE, MAX_RATE, "reads/s")
        return Change(replace(next_state, rate_per_s=rate), _shown(_RATE, state.rate_per_s), _shown(_RATE, rate), note)
    if command.action is Action.BUDGET:
        usd, note = _clamp(command.value, MIN_BUDGET, MAX_BUDGET, "dollars")
        return Change(replace(next_state, max_cost_usd=usd), _shown(_BUDGET, state.max_cost_usd), _shown(_BUDGET, usd), note)
    if command.action is Action.CONCURRENCY:
        wanted, note = _clamp(None if command.value is None else float(round(command.value)), 1, MAX_IN_FLIGHT, "requests in flight")
        in_flight = None if wanted is None else int(wanted)
        before, after = _shown(_IN_FLIGHT, state.requests_in_flight), _shown(_IN_FLIGHT, in_flight)
        return Change(replace(next_state, requests_in_flight=in_flight), before, after, note)
    if command.action is Action.SPIKE:
        if (refusal := spike_refusal(state, configured_rate)) is not None and command.seconds != 0:
            return Rejection(refusal)
        return _spike(state, next_state, command, unix_now)
    ending: Literal["drain", "stop"] = "stop" if command.action is Action.STOP else "drain"
    # A paused run that is asked to end would otherwise hold its queued reads for the whole drain timeout.
    return Change(replace(next_state, ending=ending, paused=False), state.ending or _flow(state), ending)


def _spike(state: DesiredState, next_state: DesiredState, command: Command, unix_now: float) -> Change:
    rate, rate_note = _clamp(command.value, MIN_RATE, MAX_RATE, "reads/s")
    asked = DEFAULT_SPIKE_S if command.seconds is None else command.seconds
    seconds, seconds_note = _clamp(asked, 0.0, MAX_SPIKE_S, "s")
    seconds = seconds or 0.0
    spiked = replace(next_state, spike_rate_per_s=rate, spike_until=unix_now + seconds if seconds else None)
    running = state.spike_until is not None and state.spike_until > unix_now
    return Change(
        spiked,
        f"spike {_shown(_RATE, state.spike_rate_per_s)}" if running else "no spike",
        f"spike {_shown(_RATE, rate)} for {seconds:g} s" if seconds else "no spike",
        "; ".join(note for note in (rate_note, seconds_note) if note),
    )


def spike_refusal(state: DesiredState, configured: float | None) -> str | None:
    """Why a spike would change nothing, and what to do first; None: it would lift the rate."""
    if state.rate_per_s is not None or configured is not None:
        return None
    return (
        "the source has no rate to lift: it offers reads as fast as the queue takes them; set a rate below what the run can do first, "
        "with `helix control rate READS_PER_S` or source.rate_per_s"
    )


def source_rate(state: DesiredState, configured: float | None, unix_now: float) -> float | None:
    """Reads per second that the whole source may offer now; None: as fast as it can. A pause is separate."""
    rate = state.rate_per_s if state.rate_per_s is not None else configured
    if state.spike_until is None or unix_now >= state.spike_until:
        return rate
    if rate is None or state.spike_rate_per_s is None:
        return None
    return max(rate, state.spike_rate_per_s)  # a spike lifts; a lower one changes nothing


def _shown(form: str, value: float | None) -> str:
    return "as configured" if value is None else form.format(value)


def _flow(state: DesiredState) -> str:
    return "paused" if state.paused else "running"


def _clamp(value: float | None, low: float, high: float, unit: str) -> tuple[float | None, str]:
    if value is None:
        return None, ""
    clamped = min(max(value, low), high)
    return clamped, "" if clamped == value else f"{value:g} {unit} is outside {low:g} to {high:g}: clamped to {clamped:g}"


def encode_change(before: DesiredState, after: DesiredState) -> tuple[str, str]:
    """The fields that differ, as canonical JSON, with their old and their new values: ``value_from`` and ``value_to``."""
    old, new = asdict(before), asdict(after)
    changed = sorted(name for name in _FIELDS if old[name] != new[name])
    return tuple(json.dumps({name: state[name] for name in changed}, sort_keys=True) for state in (old, new))  # type: ignore[return-value]


def replay(changes: Iterable[str | None], state: DesiredState | None = None) -> DesiredState:
    """``state`` (default: the first one) after these ``value_to`` values, oldest first; a None (a refused command) changes nothing.

    Raises ValueError for text that `encode_change` did not write.
    """
    state = state or DesiredState()
    for text in changes:
        if text is None:
            continue
        change = json.loads(text)
        if not isinstance(change, dict) or not change.keys() <= _FIELDS:
            raise ValueError(f"not a change of the desired state: {text[:120]}")
        state = replace(state, version=state.version + 1, **change)
    return state
