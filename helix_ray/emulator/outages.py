"""Outages by script: a limit that refuses everybody for a while, or an API that is out."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from helix_ray.config.emulator import EmulatorOutage
from helix_ray.emulator.buckets import BucketSet, Refused
from helix_ray.emulator.windows import WINDOW_S

_ROOM = 10  # times what the minute's limit lets through: a limit that nobody reaches


class Active(NamedTuple):
    outage: EmulatorOutage
    ends_in_s: float


class Outages:
    """``now`` is in monotonic seconds. The script starts with `begin`; until then nothing is out."""

    def __init__(self, script: Sequence[EmulatorOutage]) -> None:
        self._script = list(script)
        self._origin: float | None = None

    @property
    def scripted(self) -> bool:
        return bool(self._script)

    def begin(self, now: float) -> None:
        """Starts the script's clock; later calls change nothing."""
        if self._origin is None:
            self._origin = now

    def replace(self, script: Sequence[EmulatorOutage], now: float) -> None:
        """A new script, its clock started now."""
        self._script = list(script)
        self._origin = now

    def of_api(self, now: float) -> Active | None:
        return self._active(now, of_limit=False)

    def of_limit(self, now: float) -> Active | None:
        return self._active(now, of_limit=True)

    def _active(self, now: float, *, of_limit: bool) -> Active | None:
        if self._origin is None:
            return None
        elapsed = now - self._origin
        for outage in self._script:
            if (outage.limit is not None) is of_limit and outage.after_s <= elapsed < outage.after_s + outage.for_s:
                return Active(outage, outage.after_s + outage.for_s - elapsed)
        return None

    def summary(self, now: float) -> dict[str, object]:
        active = self.of_api(now) or self.of_limit(now)
        return {
            "scripted": len(self._script),
            "clock_s": None if self._origin is None else round(now - self._origin, 6),
            "active": None if active is None else {**active.outage.model_dump(), "ends_in_s": round(active.ends_in_s, 6)},
        }


def refusal_of(active: Active, buckets: BucketSet, requested: int) -> tuple[Refused, int]:
    """The 429 of an outage and its wait in whole seconds: the figures shown are those from which the bucket law would
    compute the wait that is told, or a little more where only whole numbers can be shown.
    """
    outage = active.outage
    assert outage.limit is not None
    limit = buckets.limit_of(outage.limit) or _limit_of_others(outage.limit, buckets)
    wait_s = outage.retry_after_s or max(1, ceil(active.ends_in_s))
    over = ceil(limit * wait_s / WINDOW_S[outage.limit])
    return Refused(outage.limit, limit, max(0, limit + over - requested), requested), wait_s


def _limit_of_others(kind: str, buckets: BucketSet) -> int:
    """Of a kind that this tier does not limit: far more than the minute's tokens allow, so that a client that believes it is
    not held back by it once the outage is over.
    """
    return _ROOM * buckets.tokens_shown.limit * (WINDOW_S[kind] // 60)
