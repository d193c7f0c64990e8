"""Requests that wait for a permit, in the order of asking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from helix_ray.records.calls import RequestedTier
from helix_ray.throttle.messages import PermitRequest

_FORGET_AFTER_S = 10.0
_LOOK_EVERY_S = 1.0


@dataclass(slots=True)
class Waiting:
    request: PermitRequest
    holder: str
    asked_at: float  # when a call for it last began or ended
    calls: int = 0  # that wait for it now: a permit is granted only to a call


class WaitQueue:
    """First come, first served. Asked again, a request keeps its place; one that is not asked for again within 10 s loses it.

    A request that no call waits for at the moment (its holder is between two calls) is passed over, and keeps its place too.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._listening: Counter[RequestedTier] = Counter()
        self._looked_at = float("-inf")

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def tiers(self) -> list[RequestedTier]:
        """The service tiers that are waited for."""
        return [tier for tier, count in self._listening.items() if count]

    def ask(self, holder: str, requests: Iterable[PermitRequest], now: float) -> None:
        for request in requests:
            self._waiting.setdefault(request.want_id, Waiting(request, holder, now))
            self.ask_again(request.want_id, now)

    def ask_again(self, want_id: str, now: float) -> bool:
        """Whether the request still waits here."""
        waiting = self._waiting.get(want_id)
        if waiting is not None:
            waiting.calls += 1
            waiting.asked_at = now
            self._listening[waiting.request.service_tier] += waiting.calls == 1
        return waiting is not None

    def leave(self, want_ids: Sequence[str], now: float) -> None:
        """One call that waited for these ended; what was not granted keeps its place."""
        for want_id in want_ids:
            waiting = self._waiting.get(want_id)
            if waiting is not None and waiting.calls > 0:
                waiting.calls -= 1
                waiting.asked_at = now
                self._listening[waiting.request.service_tier] -= waiting.calls == 0

    def listening(self) -> Iterator[Waiting]:
        """In order. The queue must not be changed before the iterator is dropped."""
        return (waiting for waiting in self._waiting.values() if waiting.calls)

    def remove(self, want_id: str) -> None:
        waiting = self._waiting.pop(want_id, None)
        if waiting is not None and waiting.calls:
            self._listening[waiting.request.service_tier] -= 1

    def forget(self, holder: str) -> None:
        for want_id in [key for key, each in self._waiting.items() if each.holder == holder]:
            self.remove(want_id)

    def forget_silent(self, now: float) -> None:
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        for want_id in [key for key, each in self._waiting.items() if not each.calls and now - each.asked_at > _FORGET_AFTER_S]:
            self.remove(want_id)
