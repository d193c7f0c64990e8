from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from helix_ray.config import Config
from helix_ray.environment.secrets import Secret
from helix_ray.metrics.snapshot import RunInfo
from helix_ray.queueing.bounded_queue import BoundedQueue
from helix_ray.queueing.messages import QueueStats
from helix_ray.session.plan import Plan
from helix_ray.session.watch import Watch


def stats(incarnation: str, depth: int, blocked: float) -> QueueStats:
    queue = BoundedQueue(capacity=500, low_watermark=100, lease_timeout_s=60, incarnation=incarnation)
    return replace(queue.stats(0.0), max_queue_depth=depth, blocked_seconds=blocked)


def test_maxima_and_blocked_time_of_the_queue_survive_restarts() -> None:
    unused = cast(Any, None)
    plan = Plan(Config(), "run", Path("home"), Secret("url"), None, row=unused, simulated=True)
    watch = Watch(plan, group=unused, run_info=RunInfo(), emulator_error=lambda: None)
    assert watch.queue is None
    for incarnation, depth, blocked in (("a", 10, 1.0), ("a", 500, 2.0), ("b", 0, 0.0), ("b", 20, 3.0), ("b", 30, 4.0), ("c", 5, 0.5)):
        watch.note_queue(stats(incarnation, depth, blocked))
    assert watch.queue is not None
    assert (watch.queue.incarnation, watch.queue.max_queue_depth, watch.queue.blocked_seconds) == ("c", 500, 6.5)
