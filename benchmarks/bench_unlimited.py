"""Requests a second through the whole pipeline when no limit binds, and what each process pays for one request.

    .venv/bin/python benchmarks/bench_unlimited.py [READS]

One read a request, the emulator without limits and without latency: what is left is our own cost and the emulator's.
"""

from __future__ import annotations

import sys

from harness import Run, cpu_seconds, print_table, started_run


def main() -> None:
    reads = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    settings = (
        f"source.count={reads}",
        "emulator.tier=unlimited",
        "emulator.latency_scale=0",
        "ray.dashboard=false",
        "throttle.max_cost_usd=1000",
    )
    first: dict[str, float] = {}

    def remember_start(run: Run) -> None:
        if not first:
            first.update(cpu_seconds(run))

    with started_run(*settings) as run:
        report = run.watch(remember_start)
        last = cpu_seconds(run)
    requests = report["requests"]
    print(
        f"{requests:,} requests in {report['duration_s']:.1f} s: {requests / report['duration_s']:.0f} requests/s, lost {report['lost']}\n"
    )
    cost = {name: seconds - first.get(name, 0.0) for name, seconds in last.items()}
    total = sum(cost.values())
    rows = [
        [name, seconds, 1000 * seconds / requests, f"{seconds / total:.0%}"]
        for name, seconds in sorted(cost.items(), key=lambda item: -item[1])
    ]
    print_table(["process", "CPU s", "CPU ms per request", "share"], [*rows, ["all", total, 1000 * total / requests, "100%"]])


if __name__ == "__main__":
    main()
