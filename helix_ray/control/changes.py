"""Commands as the ledger keeps them: what a change looks like in words of its own, and how a state is rebuilt from them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields, replace

from helix_ray.records import DesiredState

_FIELDS = frozenset(field.name for field in fields(DesiredState)) - {"version"}


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
