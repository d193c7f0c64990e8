"""Which actors answer, and when restarting them is of no more use.

Ray notices a process that died, not one that hangs, so each actor is pinged. Every answer carries the incarnation of the
actor that gave it: a new incarnation under an old name is a restart, whatever caused it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

PING_INTERVAL_S = 5.0
PING_TIMEOUT_S = 3.0
MISSES_BEFORE_KILL = 3


@dataclass(slots=True)
class _Actor:
    incarnation: str | None = None
    next_ping_at: float = 0.0
    asked_at: float | None = None
    last_answer_at: float = 0.0
    misses: int = 0


@dataclass(slots=True)
class Liveness:
    """Decides when to ping and when to give up on an actor. ``now`` is monotonic seconds."""

    _actors: dict[str, _Actor] = field(default_factory=dict)

    def watch(self, name: str, now: float) -> None:
        self._actors[name] = _Actor(next_ping_at=now + PING_INTERVAL_S, last_answer_at=now)

    def due(self, now: float) -> list[str]:
        """Actors to ping now. Each counts as asked until `answered`, `failed` or `overdue` names it."""
        names = [name for name, actor in self._actors.items() if actor.asked_at is None and now >= actor.next_ping_at]
        for name in names:
            self._actors[name].asked_at = now
        return names

    def answered(self, name: str, incarnation: str, now: float) -> bool:
        """Notes an answer; True when it comes from a new incarnation, that is, after a restart."""
        actor = self._actors[name]
        restarted = actor.incarnation is not None and actor.incarnation != incarnation
        actor.incarnation = incarnation
        actor.last_answer_at = now
        actor.misses = 0
        self._ask_again(actor, now)
        return restarted

    def failed(self, name: str, now: float) -> None:
        """The call failed because the process died: Ray is restarting it, so this is no miss, but ask again soon."""
        actor = self._actors[name]
        actor.asked_at = None
        actor.next_ping_at = now + 1.0

    def overdue(self, now: float) -> list[str]:
        """Actors whose ping ran out of time."""
        late = [name for name, actor in self._actors.items() if actor.asked_at is not None and now - actor.asked_at >= PING_TIMEOUT_S]
        for name in late:
            self._actors[name].misses += 1
            self._ask_again(self._actors[name], now)
        return late

    def hung(self) -> list[str]:
        """Actors that missed too many pings in a row and should be killed, so that Ray restarts them. Resets their count."""
        names = [name for name, actor in self._actors.items() if actor.misses >= MISSES_BEFORE_KILL]
        for name in names:
            self._actors[name].misses = 0
        return names

    def silent(self, now: float, for_s: float) -> list[str]:
        """Actors that have not answered for ``for_s`` seconds."""
        return [name for name, actor in self._actors.items() if now - actor.last_answer_at >= for_s]

    @staticmethod
    def _ask_again(actor: _Actor, now: float) -> None:
        actor.asked_at = None
        actor.next_ping_at = now + PING_INTERVAL_S


@dataclass(slots=True)
class RestartBreaker:
    """Opens after ``most`` restarts within ``window_s`` seconds without a stored read."""

    most: int = 10
    window_s: float = 90.0
    _restarts: deque[float] = field(default_factory=deque)
    _stored: int = -1

    def progress(self, stored: int) -> None:
        """``stored``: rows committed since the sink started. A larger count clears the earlier restarts; a smaller one means a new sink."""
        if stored > self._stored >= 0:
            self._restarts.clear()
        self._stored = stored

    def restarted(self, now: float) -> None:
        self._restarts.append(now)
        while self._restarts and now - self._restarts[0] > self.window_s:
            self._restarts.popleft()

    @property
    def is_open(self) -> bool:
        return len(self._restarts) >= self.most
