"""A source far faster than the analyzers, watched from outside: how deep does the queue get, and does memory stay flat?

    .venv/bin/python benchmarks/bench_backpressure.py [SECONDS]
    .venv/bin/python benchmarks/bench_backpressure.py 600      the ten-minute memory figure

Default: 30 seconds. 50,000 reads are requested, the API takes 1,800 at once and then thirty a second. A process of its own
asks the queue actor itself, twenty times a second. From 120 seconds on there is also the proportional set size of every
actor, minute by minute, and the last minute's as a ratio to the second's: flat is 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from harness import Run, argument, print_table, started_run

SAMPLER = """
import sys, time
from pathlib import Path
from helix_ray.actors import api
from helix_ray.client import attach
attach(Path(sys.argv[1]))  # sets Ray up for this process
import ray
from ray.exceptions import RayError
queue = ray.get_actor(api.QUEUE, namespace=api.NAMESPACE)
try:
    while True:
        stats = ray.get(queue.stats.remote(), timeout=10)
        print(stats.waiting, stats.redelivered, flush=True)
        time.sleep(0.05)
except RayError:
    pass  # the run has ended
ray.shutdown()
"""
STEADY_MINUTE = 2


class Sampler:
    """The outside observer, started once the run is live."""

    def __init__(self, samples: Path) -> None:
        self._samples = samples
        self._process: subprocess.Popen[str] | None = None

    def start(self, run: Run) -> None:
        if self._process is None:
            with self._samples.open("w") as out:
                command = [sys.executable, "-c", SAMPLER, str(run.home)]
                self._process = subprocess.Popen(command, stdout=out, env=os.environ.copy(), text=True)

    def stop(self) -> list[int]:
        """Waiting reads at each look."""
        if self._process is not None:
            self._process.kill()  # it holds nothing; on SIGTERM Ray would print where it stood
            self._process.wait(30)
        return [int(line.split()[0]) for line in self._samples.read_text().splitlines()]


def actor_memory(run: Run) -> dict[str, float]:
    """Megabytes by actor."""
    sizes: dict[str, float] = {}
    for process in run.process.children(recursive=True):
        try:
            line = process.cmdline()
            if line and line[0].startswith("ray::") and "IDLE" not in line[0]:
                name = f"{line[0].removeprefix('ray::').split('.')[0]} ({process.pid})"
                sizes[name] = process.memory_full_info().pss / 1e6
        except psutil.Error:
            continue  # it ended while being looked at
    return sizes


def print_memory(minutes: list[dict[str, float]]) -> None:
    steady, last = minutes[STEADY_MINUTE - 1], minutes[-1]
    rows = [
        [name, *(minute.get(name, 0.0) for minute in minutes), f"{last[name] / steady[name]:.3f}" if name in steady else "new"]
        for name in sorted(last)
    ]
    header = ["actor, MB after minute", *(str(number) for number in range(1, len(minutes) + 1)), f"last / minute {STEADY_MINUTE}"]
    print_table(header, rows)


def main() -> None:
    seconds = argument(__doc__, "SECONDS", 30, least=5)
    settings = (
        "source.count=50000",
        f"run.max_duration_s={seconds}",
        "emulator.requests_per_minute=1800",
        "emulator.latency_scale=0.2",
        "throttle.max_cost_usd=100",
        "ray.dashboard=false",
    )
    minutes: list[dict[str, float]] = []
    began: list[float] = []
    with started_run(*settings) as run:
        sampler = Sampler(run.home.parent / "samples.txt")

        def look(live: Run) -> None:
            sampler.start(live)
            began[:] = began or [time.monotonic()]
            # the last look is a little early: the actors must still be there
            if time.monotonic() - began[0] >= min(60 * (len(minutes) + 1), seconds - 3) and len(minutes) < seconds // 60:
                minutes.append(actor_memory(live))

        report = run.watch(look, timeout_s=seconds + 300)
        seen = sampler.stop()
    print(f"max_queue_depth {report['max_queue_depth']} (report), {max(seen)} (outside sampler, {len(seen)} samples)")
    print(f"blocked_seconds {report['blocked_seconds']}, held at most {report['max_held']}")
    print(f"status {report['status']}, stored {report['reads_stored']:,}, lost {report['lost']}, duplicates {report['duplicates']}\n")
    if len(minutes) >= STEADY_MINUTE:
        print_memory(minutes)


if __name__ == "__main__":
    main()
