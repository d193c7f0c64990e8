"""A source far faster than the analyzers, watched from outside: how deep does the queue get, and does memory stay flat?

    .venv/bin/python benchmarks/bench_backpressure.py [SECONDS]

50,000 reads are requested, the API takes a few a second. A second process samples the queue ten times a second through the
client, as the page does. With 600 seconds or more it also shows the proportional set size of every actor minute by minute.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from harness import Run, print_table, started_run

SAMPLER = """
import sys
from pathlib import Path
from helix_ray.client import attach
client = attach(Path(sys.argv[1]))
while True:
    view = client.snapshot().queue
    print(view.waiting, view.redelivered, flush=True)
    import time; time.sleep(0.1)
"""


def actor_memory(run: Run) -> dict[str, float]:
    sizes: dict[str, float] = {}
    for process in run.process.children(recursive=True):
        line = process.cmdline()
        if line and line[0].startswith("ray::") and "IDLE" not in line[0]:
            name = f"{line[0].removeprefix('ray::').split('.')[0]} ({process.pid})"
            sizes[name] = process.memory_full_info().pss / 1e6
    return sizes


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    settings = ("source.count=50000", f"run.max_duration_s={seconds}", "emulator.requests_per_minute=600", "emulator.latency_scale=0.2")
    minutes: list[dict[str, float]] = []
    began = time.monotonic()
    with started_run(*settings, "ray.dashboard=false") as run:
        sampler: list[subprocess.Popen[str]] = []
        samples = run.home.parent / "samples.txt"

        def sample(live: Run) -> None:
            if not sampler:
                with samples.open("w") as out:
                    sampler.append(
                        subprocess.Popen([sys.executable, "-c", SAMPLER, str(live.home)], stdout=out, env=os.environ.copy(), text=True)
                    )
            if time.monotonic() - began >= 60 * (len(minutes) + 1):
                minutes.append(actor_memory(live))

        report = run.watch(sample, timeout_s=seconds + 300)
        for process in sampler:
            process.terminate()
            process.wait(30)
        seen = [int(line.split()[0]) for line in Path(samples).read_text().splitlines()]
    print(f"max_queue_depth {report['max_queue_depth']} (report), {max(seen)} (outside sampler, {len(seen)} samples)")
    print(f"blocked_seconds {report['blocked_seconds']}, lost {report['lost']}")
    print(f"held at most {report['max_held']}, status {report['status']}\n")
    if len(minutes) > 1:
        names = sorted(minutes[-1])
        rows = [[name, *(minute.get(name, 0.0) for minute in minutes)] for name in names]
        print_table(["actor, MB after minute", *(str(index + 1) for index in range(len(minutes)))], rows)


if __name__ == "__main__":
    main()
