"""Who waits for a permit, in the order of asking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

from helix_ray.throttle.messages import PermitRequest as Want

_FORGET_AFTER_S = 10.0
_LOOK_EVERY_S = 1.0
_PATIENCE_S = 5.0


@dataclass(slots=True)
class Waiting:
    want: Want
    holder: str
    heard_at: float  # when a call for it last began or ended
    calls: int = 0  # how many calls wait for it just now: a permit is never given to nobody
    first_since: float = inf  # the line stands still because this one does not fit
    passed_by: int = 0  # tokens of those that went before it since then

    @property
    def size(self) -> int:
        return self.want.prompt_tokens + self.want.max_completion_tokens

    def stands_first(self, now: float) -> None:
        if self.first_since == inf:
            self.first_since = now

    def lets_pass(self, other: Waiting, now: float) -> bool:
        """A request at most half as large may go first, as long as all that do are not larger than this one together, and
        for 5 s at most: so nothing makes a large request wait for more than twice the room that it needs.
        """
        young = now - self.first_since < _PATIENCE_S
        return young and 2 * other.size <= self.size and self.passed_by + other.size <= self.size


class Line:
    """First come, first served. Asking again keeps the place; a want that is not asked for again within 10 s loses it.

    A want that no call waits for at the moment (its holder is between two calls) is passed over, and keeps its place too.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._listening: Counter[str] = Counter()  # by the service tier that they want
        self._looked_at = -inf

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def tiers(self) -> set[str]:
        """The service tiers for which somebody waits."""
        return {tier for tier, count in self._listening.items() if count}

    def ask(self, holder: str, wants: Iterable[Want], now: float) -> None:
        for want in wants:
            waiting = self._waiting.get(want.want_id)
            if waiting is None:
                waiting = self._waiting[want.want_id] = Waiting(want, holder, now)
            waiting.calls += 1
            waiting.heard_at = now
            if waiting.calls == 1:
                self._listening[waiting.want.service_tier] += 1

    def leave(self, want_ids: Sequence[str], now: float) -> None:
        """One call that waited for these ended; whatever was not granted stays in the line."""
        for want_id in want_ids:
            waiting = self._waiting.get(want_id)
            if waiting is not None and waiting.calls > 0:
                waiting.calls -= 1
                waiting.heard_at = now
                if waiting.calls == 0:
                    self._listening[waiting.want.service_tier] -= 1

    def listening(self) -> Iterator[Waiting]:
        """In order. The line must not be changed before the iterator is dropped."""
        if not self.tiers:
            return
        for waiting in self._waiting.values():
            if waiting.calls:
                yield waiting

    def remove(self, want_id: str) -> None:
        waiting = self._waiting.pop(want_id, None)
        if waiting is not None and waiting.calls:
            self._listening[waiting.want.service_tier] -= 1

    def forget(self, holder: str) -> None:
        for want_id in [key for key, each in self._waiting.items() if each.holder == holder]:
            self.remove(want_id)

    def forget_silent(self, now: float) -> None:
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        for want_id in [key for key, each in self._waiting.items() if not each.calls and now - each.heard_at > _FORGET_AFTER_S]:
            self.remove(want_id)
