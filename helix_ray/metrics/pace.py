"""How fast things go: progress over sliding windows, and from it the share of its time that each stage is busy, blocked or idle."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from helix_ray.metrics.snapshot import Rates, StageView

POINT_SECONDS = 3.0
CARD_SECONDS = 10.0
MINUTE_SECONDS = 60.0
STAGES = ("source", "queue", "throttle", "analyzers", "sink")


class Progress(NamedTuple):
    """Ever-growing sums over all actors; or how much they grow in a second."""

    offered: float = 0.0
    analysed: float = 0.0
    stored: float = 0.0
    cost_usd: float = 0.0  # as the analyzers count it: what the throttle is told of earlier sessions is no pace
    generate_s: float = 0.0  # producers, making reads
    put_s: float = 0.0  # producers, in a put
    blocked_s: float = 0.0  # puts, in the queue
    held_back_s: float = 0.0  # analyzers, by results that wait for their commit
    intent_wait_s: float = 0.0  # of requests with a permit: until they are on record
    commit_s: float = 0.0  # the sink
    # By samples, one a second:
    in_flight_s: float = 0.0  # of requests with a permit
    full_s: float = 0.0  # reads wait in the queue, and are not taken
    throttled_s: float = 0.0  # requests wait for a limit
    awaiting_s: float = 0.0  # the throttle waits for what comes behind it


class RateWindow:
    """Samples of progress, kept a little longer than the longest window asked for."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Progress]] = deque()

    def add(self, now: float, progress: Progress) -> None:
        self._samples.append((now, progress))
        # One sample older than the window stays: the rate over the full window needs its far end.
        while len(self._samples) > 2 and self._samples[1][0] <= now - MINUTE_SECONDS:
            self._samples.popleft()

    def rates(self, now: float, over_s: float = CARD_SECONDS) -> Progress | None:
        """Per second, from the newest sample at least ``over_s`` old (or the oldest there is) to the newest; None before two samples.

        A window without any sample gives None: an observer without reports does not know that the rate is zero.
        """
        if len(self._samples) < 2 or self._samples[-1][0] < now - over_s:
            return None
        newest_at, newest = self._samples[-1]
        far_enough = (sample for sample in reversed(self._samples) if sample[0] <= newest_at - over_s)
        oldest_at, oldest = next(far_enough, self._samples[0])
        if newest_at <= oldest_at:
            return None
        return Progress(*(max(0.0, (new - old) / (newest_at - oldest_at)) for new, old in zip(newest, oldest, strict=True)))


class Crew(NamedTuple):
    """Who shares the seconds of a stage, and what their processes say of themselves."""

    producers: int
    analyzers: int
    slots: int  # requests that all analyzers may have in flight
    loop_busy: dict[str, float]  # 0..1 by role: of its actors, on average
    heard: frozenset[str]  # stages that have reported


def shown(rates: Progress | None) -> Rates:
    return Rates() if rates is None else Rates(rates.offered, rates.analysed, rates.stored)


def held_back(rates: Progress | None, analyzers: int) -> float | None:
    """Seconds that analyzers held back for the sink, of the seconds that they had: 0..1."""
    return None if rates is None or not analyzers else min(1.0, rates.held_back_s / analyzers)


def intents_share(rates: Progress | None) -> float | None:
    """Both averages are over the same seconds; the sampled one may be the smaller by chance."""
    return None if rates is None or not rates.in_flight_s else min(1.0, rates.intent_wait_s / rates.in_flight_s)


def stages(rates: Progress | None, crew: Crew) -> tuple[StageView, ...]:
    """In the order in which a read passes them. While reads come, the first that is not blocked is the one that all others wait for."""
    if rates is None:
        return tuple(StageView(name) for name in STAGES)
    in_flight = rates.in_flight_s / crew.slots if crew.slots else 0.0
    recording = in_flight * (intents_share(rates) or 0.0)
    loop = crew.loop_busy
    # busy and blocked; the sink has nothing behind it but the database, whose time is its own
    seconds = {
        "source": (rates.generate_s / max(1, crew.producers), rates.put_s / max(1, crew.producers)),
        "queue": (loop.get("queue", 0.0), rates.full_s * (1 - loop.get("queue", 0.0))),
        "throttle": (max(rates.throttled_s, loop.get("throttle", 0.0)), rates.awaiting_s),
        "analyzers": (max(in_flight - recording, loop.get("analyzer", 0.0)), (held_back(rates, crew.analyzers) or 0.0) + recording),
        "sink": (rates.commit_s, 0.0),
    }
    return tuple(_stage(name, *seconds[name]) if name in crew.heard else StageView(name) for name in STAGES)


def _stage(name: str, busy: float, blocked: float) -> StageView:
    """What is measured in two places may add up to a little more than all of the time."""
    blocked = min(1.0, blocked)
    busy = min(1.0 - blocked, busy)
    return StageView(name, round(busy, 4), round(blocked, 4), round(1.0 - blocked - busy, 4))
