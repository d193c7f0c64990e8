"""How a session ended, and the callbacks of its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from helix_ray.actors.cluster import Cluster
from helix_ray.environment.logs import Event, event_logger
from helix_ray.metrics.snapshot import MetricsSnapshot
from helix_ray.results.schema import Report
from helix_ray.supervision.endings import Ending

log = event_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    ending: Ending
    report: Report

    @property
    def exit_code(self) -> int:
        return self.ending.exit_code(self.report["reads_stored"] or 0, self.report["dead_letters"] or 0)


@dataclass(slots=True)
class Listener:
    """What the terminal shows. All are called from the driver's loop."""

    started: Callable[[Cluster], None] = lambda _: None
    progress: Callable[[MetricsSnapshot], None] = lambda _: None
    ending: Callable[[Ending], None] = lambda _: None
    ended: Callable[[Outcome], None] = lambda _: None
    held: Callable[[], None] = lambda: None

    def unfailing(self) -> Listener:
        """The same, but what it raises is logged: nothing that only shows a run may end it, or skip a step of its end."""
        return Listener(**{field.name: _logged(getattr(self, field.name)) for field in fields(self)})


def _logged(callback: Callable[..., None]) -> Callable[..., None]:
    def call(*arguments: Any) -> None:
        try:
            callback(*arguments)
        except (Exception, SystemExit):  # SystemExit: rich, when its pipe is gone
            log.exception(Event.ERROR_HANDLED, what="the run cannot be shown")

    return call
