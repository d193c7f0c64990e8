"""The line of puts that found no room: first come, first served, with the time that they spend in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from helix_ray.records import Read


@dataclass(eq=False, slots=True)
class BlockedPut:
    """One put in the line. ``reads`` shrinks and ``admitted`` grows when a part of it fits."""

    reads: list[Read]
    admitted: int
    since: float  # monotonic seconds


@dataclass(slots=True)
class PutLine:
    """Blocked puts in the order in which they came. ``joined`` counts them all since the start."""

    joined: int = 0
    _puts: dict[BlockedPut, None] = field(default_factory=dict)  # a set that keeps its order
    _past_seconds: float = 0.0

    @property
    def length(self) -> int:
        return len(self._puts)

    @property
    def first(self) -> BlockedPut | None:
        return next(iter(self._puts), None)

    def join(self, reads: list[Read], admitted: int, now: float) -> BlockedPut:
        put = BlockedPut(reads, admitted, now)
        self._puts[put] = None
        self.joined += 1
        return put

    def leave(self, put: BlockedPut, now: float) -> None:
        """Takes a put out of the line; nothing happens when it has left already."""
        if put in self._puts:
            del self._puts[put]
            self._past_seconds += now - put.since

    def blocked_seconds(self, now: float) -> float:
        """Summed over all puts, those still in the line included."""
        return self._past_seconds + sum(now - put.since for put in self._puts)
