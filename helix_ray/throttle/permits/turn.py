"""One walk along the line: who stands in whose way."""

from __future__ import annotations

from helix_ray.records import ServiceTier
from helix_ray.throttle.limits.limit_set import KINDS, Wait
from helix_ray.throttle.permits.line import Waiting

_LOOK_AHEAD = 8  # wants behind the one that blocks a lane


class Turn:
    """The first want that a lane has no room for blocks that lane for those behind it, but for smaller ones that it lets
    pass (`line`). Nobody is let pass where it is not a bucket that lacks room: a small request finds no other door.
    """

    def __init__(self, tiers: set[str], now: float) -> None:
        """``tiers``: those for which somebody waits."""
        self.now = now
        self.reason: str | None = None  # why the first one that waits does so
        self.soonest_s: float | None = None  # when one of those looked at may go by the passing of time
        self._left = tiers
        self._looks = dict.fromkeys(tiers, _LOOK_AHEAD)
        self._blocked: dict[ServiceTier, Waiting | None] = {}  # None: nobody may pass

    @property
    def over(self) -> bool:
        """Nobody further behind can go."""
        return not self._left

    def stands_behind(self, waiting: Waiting, tiers: tuple[ServiceTier, ...]) -> bool:
        """Others are before this want in every lane that it may take."""
        if waiting.want.service_tier not in self._left:
            return True
        if any(self.open_to(waiting, tier) for tier in tiers):
            return False
        self.stays(waiting, tiers, None)
        return True

    def open_to(self, waiting: Waiting, tier: ServiceTier) -> bool:
        if tier not in self._blocked:
            return True
        blocker = self._blocked[tier]
        return blocker is not None and blocker.lets_pass(waiting, self.now)

    def granted(self, waiting: Waiting, tier: ServiceTier) -> None:
        blocker = self._blocked.get(tier)
        if blocker is not None:
            blocker.passed_by += waiting.size

    def note(self, wait: Wait) -> None:
        """Somebody waits."""
        self.reason = self.reason or wait.reason
        if wait.seconds is not None and (self.soonest_s is None or wait.seconds < self.soonest_s):
            self.soonest_s = wait.seconds

    def stays(self, waiting: Waiting, tiers: tuple[ServiceTier, ...], wait: Wait | None) -> None:
        """The want waits; ``wait`` None: behind another one."""
        if wait is not None:
            self.note(wait)
            may_pass = wait.seconds is not None and wait.reason in KINDS
            for tier in tiers:
                if tier not in self._blocked:
                    waiting.stands_first(self.now)
                    self._blocked[tier] = waiting if may_pass else None
        wanted = waiting.want.service_tier
        self._looks[wanted] -= 1
        if self._looks[wanted] <= 0 or all(tier in self._blocked and self._blocked[tier] is None for tier in tiers):
            self._left.discard(wanted)
