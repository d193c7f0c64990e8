"""Who waits for a permit, in the order of asking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from helix_ray.throttle.messages import Want

_FORGET_AFTER_S = 10.0


@dataclass(slots=True)
class Waiting:
    want: Want
    holder: str
    heard_at: float  # when a call for it last began or ended
    calls: int = 0  # how many calls wait for it just now: a permit is never given to nobody


class Line:
    """First come, first served. Asking again keeps the place; a want that is not asked for again within 10 s loses it.

    A want that no call waits for at the moment (its holder is between two calls) is passed over, and keeps its place too.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, holder: str, wants: Iterable[Want], now: float) -> None:
        for want in wants:
            waiting = self._waiting.get(want.want_id)
            if waiting is None:
                waiting = self._waiting[want.want_id] = Waiting(want, holder, now)
            waiting.calls += 1
            waiting.heard_at = now

    def leave(self, want_ids: Sequence[str], now: float) -> None:
        """One call that waited for these ended; whatever was not granted stays in the line."""
        for want_id in want_ids:
            waiting = self._waiting.get(want_id)
            if waiting is not None:
                waiting.calls = max(0, waiting.calls - 1)
                waiting.heard_at = now

    def listening(self) -> list[Waiting]:
        return [waiting for waiting in self._waiting.values() if waiting.calls]

    def head(self) -> Waiting | None:
        return next((waiting for waiting in self._waiting.values() if waiting.calls), None)

    def remove(self, want_id: str) -> None:
        self._waiting.pop(want_id, None)

    def forget(self, holder: str) -> None:
        self._waiting = {key: each for key, each in self._waiting.items() if each.holder != holder}

    def forget_silent(self, now: float) -> None:
        silent = [key for key, each in self._waiting.items() if not each.calls and now - each.heard_at > _FORGET_AFTER_S]
        for want_id in silent:
            del self._waiting[want_id]
