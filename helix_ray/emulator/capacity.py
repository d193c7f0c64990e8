"""Hidden capacity: a service that can serve so many at once, and serves more of them slower without saying so."""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf


class Job:
    """One request being served. Times are monotonic seconds."""

    __slots__ = ("done_at", "entered_at", "finished_at", "left", "needed_s")

    def __init__(self, needed_s: float, entered_at: float, done_at: float) -> None:
        self.needed_s = needed_s  # of service, alone
        self.entered_at = entered_at
        self.done_at = done_at  # on the clock of `Capacity`
        self.finished_at: float | None = None
        self.left = False  # before it was finished

    def __lt__(self, other: Job) -> bool:
        return self.done_at < other.done_at

    @property
    def stretch(self) -> float:
        """How many times as long as alone it took; 1 if nothing shows otherwise."""
        return 1.0 if self.finished_at is None or self.needed_s <= 0 else max(1.0, (self.finished_at - self.entered_at) / self.needed_s)


class Capacity:
    """Processor sharing: up to ``most`` jobs run at full speed, n of more than that at ``most`` / n each.

    The jobs share one clock that runs at the speed that each of them gets, so a change of speed costs nothing per job.
    """

    def __init__(self, most: int | None) -> None:
        self.most = most  # None: no bound
        self._clock = 0.0
        self._now = -inf
        self._serving = 0
        self._jobs: list[Job] = []  # a heap by done_at; those that left stay in it until their turn

    @property
    def serving(self) -> int:
        return self._serving

    @property
    def speed(self) -> float:
        """Of each job, 0 to 1."""
        return 1.0 if self.most is None or self._serving <= self.most else self.most / self._serving

    def change(self, most: int | None, now: float) -> None:
        self._advance(now)
        self.most = most

    def enter(self, needed_s: float, now: float) -> Job:
        self._advance(now)
        job = Job(needed_s, now, self._clock + needed_s)
        heappush(self._jobs, job)
        self._serving += 1
        return job

    def leave(self, job: Job, now: float) -> None:
        """Its client has gone, or has got its answer; a job that is finished has left already."""
        self._advance(now)
        if job.finished_at is None and not job.left:
            job.left = True
            self._serving -= 1

    def left_s(self, job: Job, now: float) -> float:
        """Seconds until the job is finished, if nobody comes or goes; 0: it is."""
        self._advance(now)
        return 0.0 if job.finished_at is not None else max(1e-9, (job.done_at - self._clock) / self.speed)

    def first(self, now: float) -> Job | None:
        """The job that will be finished next."""
        self._advance(now)
        while self._jobs and self._jobs[0].left:
            heappop(self._jobs)
        return self._jobs[0] if self._jobs else None

    def _advance(self, now: float) -> None:
        if now <= self._now:
            return
        while self._jobs:
            job = self._jobs[0]
            if not job.left:
                finishes = self._now + (job.done_at - self._clock) / self.speed
                if finishes > now:
                    break
                job.finished_at = self._now = finishes
                self._clock = job.done_at
                self._serving -= 1
            heappop(self._jobs)
        if self._jobs:
            self._clock += (now - self._now) * self.speed
        else:
            self._clock = 0.0  # nobody is left for whom it counts, and small numbers are exact ones
        self._now = now
