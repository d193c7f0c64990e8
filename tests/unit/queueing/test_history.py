from dataclasses import replace

from helix_ray.queueing.bounded_queue import BoundedQueue
from helix_ray.queueing.history import QueueHistory
from helix_ray.queueing.messages import QueueStats


def stats(incarnation: str, depth: int, blocked: float) -> QueueStats:
    queue = BoundedQueue(capacity=500, low_watermark=100, lease_timeout_s=60, incarnation=incarnation)
    return replace(queue.stats(0.0), max_queue_depth=depth, blocked_seconds=blocked)


def test_maxima_and_blocked_time_survive_restarts() -> None:
    history = QueueHistory()
    assert history.stats is None
    for incarnation, depth, blocked in (("a", 10, 1.0), ("a", 500, 2.0), ("b", 0, 0.0), ("b", 20, 3.0), ("b", 30, 4.0), ("c", 5, 0.5)):
        history.note(stats(incarnation, depth, blocked))
    assert history.stats is not None
    assert (history.stats.incarnation, history.stats.max_queue_depth, history.stats.blocked_seconds) == ("c", 500, 6.5)
