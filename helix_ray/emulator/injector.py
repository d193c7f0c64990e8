"""Which fault of HTTP or the connection hits the next request: by script, or else by chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from helix_ray.config.faults import DELIVERY_FAULTS, REFUSALS, EmulatorFaults, ScriptedFault
from helix_ray.emulator.draws import Draws

_OF_CONNECTIONS = "slow_accept"
_OF_REQUESTS = tuple(name for name in (*REFUSALS, *DELIVERY_FAULTS) if name != _OF_CONNECTIONS)
_LONGER = {"hang_before", "hang_body", _OF_CONNECTIONS}


class Injected(NamedTuple):
    """A fault for one request. ``seconds``: how long it takes, or what a limit's refusal tells the client; None: no matter."""

    name: str
    seconds: float | None = None


class Injector:
    """Every kind has a stream of its own, seeded by (seed, kind), and draws once per request: one rate moves no other fault.

    ``active`` is False while there is nothing to inject; then nobody needs to ask. Requests and connections are counted from
    the last `set`.
    """

    def __init__(self, seed: int, rates: EmulatorFaults, script: Sequence[ScriptedFault] = ()) -> None:
        self._seed = seed
        self.set(rates, script)

    def set(self, rates: EmulatorFaults, script: Sequence[ScriptedFault] = ()) -> None:
        given = rates.model_dump()
        streams = {name: Draws(f"{self._seed}|fault|{name}") for name in (*_OF_REQUESTS, _OF_CONNECTIONS) if given[name] > 0}
        self._of_connections = streams.pop(_OF_CONNECTIONS, None)
        self._streams = [(name, given[name], stream) for name, stream in streams.items()]
        self._rates = rates
        self._script = [each for each in script if each.fault != _OF_CONNECTIONS]
        self._script_of_connections = [each for each in script if each.fault == _OF_CONNECTIONS]
        self._requests = self._connections = 0
        self.active = bool(self._streams or script or self._of_connections)

    def next_request(self) -> Injected | None:
        """The fault of the next request; the script goes first, then the kinds in their order."""
        self._requests += 1
        drawn = [name for name, rate, stream in self._streams if stream.uniform() < rate]
        for step in self._script:
            if step.hits(self._requests):
                return self._injected(step.fault, step.seconds)
        return self._injected(drawn[0], None) if drawn else None

    def next_connection(self) -> float | None:
        """How many seconds nothing is read from the next connection; None: it is served at once."""
        self._connections += 1
        drawn = self._of_connections is not None and self._of_connections.uniform() < self._rates.slow_accept
        for step in self._script_of_connections:
            if step.hits(self._connections):
                return self._injected(step.fault, step.seconds).seconds
        return self._rates.hang_s if drawn else None

    def _injected(self, name: str, seconds: float | None) -> Injected:
        if seconds is None and name in _LONGER:
            seconds = self._rates.hang_s
        elif seconds is None and name == "drip":
            seconds = self._rates.drip_s
        return Injected(name, seconds)
