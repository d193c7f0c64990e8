"""The birth of an actor's process: it gets the name of an incarnation, under which it logs."""

from __future__ import annotations

import os

from helix_ray.actors.api import new_incarnation
from helix_ray.environment.logs import Event, RunLog, begin_log, event_logger

log = event_logger(__name__)


def begin_incarnation(name: str, run_log: RunLog | None) -> str:
    """What tells this actor from the one that had its name before. Raises nothing, since constructors must not."""
    incarnation = new_incarnation()
    if run_log is not None:
        before = [*run_log.folder.glob(f"{name}-{'?' * len(incarnation)}.jsonl")]
        begin_log(run_log, name, incarnation)
        log.info(Event.ACTOR_STARTED, pid=os.getpid(), starts=len(before) + 1)
    return incarnation
