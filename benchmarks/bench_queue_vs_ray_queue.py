"""Why not ``ray.util.queue.Queue``: three experiments, side by side with ours. About a minute on two cores.

    .venv/bin/python benchmarks/bench_queue_vs_ray_queue.py [--seconds 3]

1. Throughput: one producer and one consumer process, 500 reads of room, reads of 150 bases. Ray's queue blocks per item only
   (its batch calls do not wait), ours takes batches; a row with batches of one read shows the cost of a call alone.
2. A consumer is killed while it waits for an item, then an item is put: who gets it?
3. 1,001 callers wait in a put on a full queue, then one asks for an item: does it get one within 5 seconds?
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update({"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"})
os.environ.pop("RAY_ADDRESS", None)

import ray
from ray.exceptions import GetTimeoutError
from ray.util.queue import Queue
from rich.console import Console
from rich.table import Table

from helix_ray.actors.queue import QueueActor
from helix_ray.config import QueueConfig
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import Read, ReadBatch

CAPACITY = 500
BLOCKED_PUTS = 1001
PATIENCE_S = 5.0
SEQUENCE = "ACGTACGTAC" * 15


def read(index: int) -> Read:
    return Read(index, f"hx{index}", "", 0, "+", SEQUENCE, SEQUENCE, None, (), True, None, None, None)


def batch(start: int, count: int) -> ReadBatch:
    return ReadBatch.from_rows([read(index) for index in range(start, start + count)])


def our_queue() -> Any:
    queue: Any = ray.remote(QueueActor).options(num_cpus=0, max_concurrency=10_000, enable_task_events=False).remote(QueueConfig())
    ray.get(queue.open.remote(IndexRanges(), 1))
    return queue


@ray.remote(num_cpus=0)
def produce_ours(queue: Any, size: int, seconds: float) -> None:
    start, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        reads = batch(start, size)
        while ray.get(queue.put.remote(0, reads)).status == "full" and time.monotonic() < until:
            continue
        start += size


@ray.remote(num_cpus=0)
def consume_ours(queue: Any, size: int, seconds: float) -> int:
    taken, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        lease = ray.get(queue.lease.remote("consumer", size, 0.5)).lease
        if lease is not None:
            ray.get(queue.ack.remote(lease.batch.read_index))
            taken += lease.batch.size
    return taken


@ray.remote(num_cpus=0)
def produce_theirs(queue: Queue, seconds: float) -> None:
    index, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        queue.put(read(index))
        index += 1


@ray.remote(num_cpus=0)
def consume_theirs(queue: Queue, seconds: float) -> int:
    taken, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        queue.get()
        taken += 1
    return taken


class Waiter:
    """A consumer that dies in the middle of its wait."""

    async def wait_ours(self, queue: Any) -> Any:
        return await queue.lease.remote("waiter", 1, 30.0)

    async def wait_theirs(self, actor: Any) -> Any:
        return await actor.get.remote(None)


def throughput_of_ours(size: int, seconds: float) -> float:
    queue = our_queue()
    producing = produce_ours.remote(queue, size, seconds + 1)
    taken = ray.get(consume_ours.remote(queue, size, seconds))
    ray.get(queue.close_input.remote())
    ray.get(producing)
    return float(taken / seconds)


def throughput_of_theirs(seconds: float) -> float:
    queue = Queue(maxsize=CAPACITY, actor_options={"num_cpus": 0})
    producing = produce_theirs.remote(queue, seconds + 0.2)
    taken = ray.get(consume_theirs.remote(queue, seconds))
    ray.wait([producing], timeout=PATIENCE_S)
    queue.shutdown(force=True)
    return float(taken / seconds)


def killed_waiter(start_waiting: str, queue: Any) -> None:
    waiter: Any = ray.remote(Waiter).options(num_cpus=0).remote()
    ray.get(waiter.__ray_ready__.remote())
    waiting = getattr(waiter, start_waiting).remote(queue)
    ray.wait([waiting], timeout=1.0)  # by now its call has reached the queue
    ray.kill(waiter)
    ray.wait([waiting], timeout=PATIENCE_S)


def item_after_kill_in_ours() -> str:
    queue = our_queue()
    killed_waiter("wait_ours", queue)
    ray.get(queue.put.remote(0, batch(0, 1)))
    ray.get(queue.release.remote("waiter"))  # what the supervisor does for a holder that died
    return "delivered to the next" if ray.get(queue.lease.remote("next", 1)).lease is not None else "LOST"


def item_after_kill_in_theirs() -> str:
    queue = Queue(maxsize=CAPACITY, actor_options={"num_cpus": 0})
    killed_waiter("wait_theirs", queue.actor)
    queue.put("item")
    size = queue.qsize()
    queue.shutdown(force=True)
    return "delivered to the next" if size else "LOST"


def answer_within_patience(reference: Any) -> str:
    began = time.monotonic()
    try:
        ray.get(reference, timeout=PATIENCE_S)
    except GetTimeoutError:
        return f"STARVED for {PATIENCE_S:.0f} s"
    return f"served in {1000 * (time.monotonic() - began):.0f} ms"


def starvation_of_ours() -> str:
    queue = our_queue()
    ray.get(queue.put.remote(0, batch(0, CAPACITY)))
    puts = [queue.put.remote(0, batch(1000 + number, 1), 30.0) for number in range(BLOCKED_PUTS)]
    ray.wait(puts, timeout=2.0)
    served = answer_within_patience(queue.lease.remote("test", 1))
    ray.get(queue.close_input.remote())
    ray.get(puts)
    return served


def starvation_of_theirs() -> str:
    queue = Queue(maxsize=CAPACITY, actor_options={"num_cpus": 0})
    queue.put_nowait_batch(list(range(CAPACITY)))
    actor: Any = queue.actor
    puts = [actor.put.remote(number, None) for number in range(BLOCKED_PUTS)]
    ray.wait(puts, timeout=2.0)
    served = answer_within_patience(actor.get.remote(None))
    queue.shutdown(force=True)
    return served


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each throughput measurement")
    seconds = parser.parse_args().seconds
    temp = tempfile.mkdtemp(prefix="hxq", dir="/tmp")
    token = Path(temp) / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100_000_000,
        log_to_driver=False,
        configure_logging=False,
        _temp_dir=temp,
    )
    try:
        table = Table("experiment", "ray.util.queue.Queue", "helix_ray QueueActor", title=f"Ray {ray.__version__}, {os.cpu_count()} CPUs")
        single, batched = throughput_of_ours(1, seconds), throughput_of_ours(50, seconds)
        table.add_row("reads/s, one per call", f"{throughput_of_theirs(seconds):,.0f}", f"{single:,.0f} (put + lease + ack)")
        table.add_row("reads/s, 50 per call, waiting", "no such call", f"{batched:,.0f}")
        table.add_row("item put after its waiting consumer was killed", item_after_kill_in_theirs(), item_after_kill_in_ours())
        table.add_row(f"get behind {BLOCKED_PUTS:,} blocked puts", starvation_of_theirs(), starvation_of_ours())
        Console(width=120).print(table)
    finally:
        ray.shutdown()
        shutil.rmtree(temp, ignore_errors=True)


if __name__ == "__main__":
    main()
