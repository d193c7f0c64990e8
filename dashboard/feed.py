"""One snapshot for all viewers, fetched at most seven times a second, never waited for longer than a quarter of a second.

A fragment whose body takes as long as its interval dims the page and swallows clicks; a viewer more must cost no call more.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from helix_ray.client import HelixClient
from helix_ray.errors import AttachError, HelixError, MissingSecretError
from helix_ray.metrics.snapshot import HistoryPoint, MetricsSnapshot

WAIT_S = 0.25
FRESH_S = 0.15  # longer, and a viewer's own second falls now before, now behind the run's
STALE_S = 4.0
PAST_INTERVAL_S = 5.0  # between two looks into the database while there is no live run
POINTS = 8_000  # an hour of seconds, a day of half minutes, and room between two times that all is asked for
ALL_AGAIN_S = 600.0  # so that the older ones become half minutes here too


@dataclass(frozen=True, slots=True)
class View:
    """What the page shows. ``age_s`` is how long ago ``snapshot`` was true; ``problem`` says why there is no newer one.

    ``lost``: the run's driver is gone, and the database has not said yet how the run ended.
    """

    snapshot: MetricsSnapshot | None = None
    history: tuple[HistoryPoint, ...] = ()
    live: bool = False
    age_s: float = 0.0
    problem: str | None = None
    lost: bool = False

    @property
    def stale(self) -> bool:
        return self.live and self.age_s > STALE_S


class Feed:
    def __init__(self, client: HelixClient, clock: Callable[[], float] = time.monotonic) -> None:
        self.client = client
        self._clock = clock
        self._pool = ThreadPoolExecutor(1, "helix-feed")
        self._lock = threading.Lock()
        self._fetching: Future[None] | None = None
        self._asked_at = float("-inf")
        self._got_at = float("-inf")
        self._past_at = float("-inf")
        self._view = View()
        self._points: deque[HistoryPoint] = deque(maxlen=POINTS)
        self._points_of = ""  # the run whose points these are
        self._all_at = float("-inf")

    def latest(self) -> View:
        """The newest view that is available within a quarter of a second."""
        with self._lock:
            if (self._fetching is None or self._fetching.done()) and self._clock() - self._asked_at >= FRESH_S:
                self._asked_at = self._clock()
                self._fetching = self._pool.submit(self._fetch)
            fetching = self._fetching
        if fetching is not None:
            wait([fetching], WAIT_S)
            if fetching.done():
                fetching.result()  # a defect is shown on the page, not swallowed in a thread
        view = self._view
        age = self._clock() - self._got_at if view.live or view.lost else 0.0
        return replace(view, age_s=max(0.0, age))

    def close(self) -> None:
        """Waits for the call under way and ends the thread."""
        self._pool.shutdown()

    def _fetch(self) -> None:
        try:
            snapshot = self.client.snapshot()
            known = self._clock() - self._all_at < ALL_AGAIN_S and self._points
            fresh = self.client.history(self._points[-1].t if known else 0.0)
        except AttachError as error:
            self._lost(str(error))
            return
        if snapshot.run.known and self._points_of != snapshot.run.run_id:
            if self._points_of and known:
                fresh, known = self.client.history(0.0), False
            self._points_of = snapshot.run.run_id
        if not known:
            self._points.clear()
            self._all_at = self._clock()
        self._points.extend(fresh)
        self._got_at = self._clock()
        self._view = View(snapshot, tuple(self._points), live=True)

    def _lost(self, problem: str) -> None:
        """A run that does not answer stays on the page until its driver is gone; then the database says how it ended."""
        if self._view.live and self.client.is_live():
            self._view = replace(self._view, problem=problem)
            return
        if self._view.live:  # said at once: the database may take seconds to start
            self._view = replace(self._view, live=False, problem=problem, lost=True)
        if self._clock() - self._past_at < PAST_INTERVAL_S:
            return
        self._past_at = self._clock()
        try:
            past = self.client.past()
        except (HelixError, OSError, TimeoutError) as error:
            silent = f"the database does not answer ({type(error).__name__})"
            reason = str(error) if isinstance(error, MissingSecretError) else silent
            self._view = replace(self._view, live=False, problem=reason)
            return
        ended = past is not None and past.run.run_id == self._points_of
        self._view = View(past, self._view.history if ended else (), problem=problem)
