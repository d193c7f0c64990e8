"""Which actors answer, and when restarting them is of no more use.

Ray notices a process that died, not one that hangs, so each actor is pinged. Every answer carries the incarnation of the
actor that gave it: a new incarnation under an old name is a restart, whatever caused it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

PING_INTERVAL_S = 5.0
HUNG_AFTER_S = 22.0
"""For which a ping may be unanswered. A pause of up to 20 s is none of a hung actor: a suspended process goes on where it was."""
UNWATCHED_S = 10.0
"""A longer pause between two looks is one of the watching process: it says nothing about the actors."""


@dataclass(slots=True)
class _Actor:
    incarnation: str | None = None
    next_ping_at: float = 0.0
    asked_at: float | None = None
    last_answer_at: float = 0.0


@dataclass(slots=True)
class Liveness:
    """Decides when to ping and when to give up on an actor. ``now`` is monotonic seconds."""

    _actors: dict[str, _Actor] = field(default_factory=dict)
    _looked_at: float | None = None

    def watch(self, name: str, now: float) -> None:
        self._actors[name] = _Actor(next_ping_at=now + PING_INTERVAL_S, last_answer_at=now)

    def due(self, now: float) -> list[str]:
        """Actors to ping now, called at each look. Each counts as asked until `answered`, `failed` or `hung` names it."""
        unwatched_s = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        if unwatched_s > UNWATCHED_S:
            for actor in self._actors.values():
                actor.last_answer_at += unwatched_s
                actor.asked_at = None if actor.asked_at is None else actor.asked_at + unwatched_s
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
        self._ask_again(actor, now + PING_INTERVAL_S)
        return restarted

    def failed(self, name: str, now: float) -> None:
        """The call failed because the process died: Ray is restarting it, so ask again soon."""
        self._ask_again(self._actors[name], now + 1.0)

    def hung(self, now: float) -> list[str]:
        """Actors to kill, so that Ray restarts them: their ping is unanswered for too long. Each is named once a ping."""
        late = [name for name, actor in self._actors.items() if actor.asked_at is not None and now - actor.asked_at >= HUNG_AFTER_S]
        for name in late:
            self._ask_again(self._actors[name], now + PING_INTERVAL_S)
        return late

    def silent(self, now: float, for_s: float) -> list[str]:
        """Actors that have not answered for ``for_s`` seconds."""
        return [name for name, actor in self._actors.items() if now - actor.last_answer_at >= for_s]

    @staticmethod
    def _ask_again(actor: _Actor, at: float) -> None:
        actor.asked_at = None
        actor.next_ping_at = at


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
