"""Requests a second through the whole pipeline when no limit binds, and what each process pays for one request.

    .venv/bin/python benchmarks/bench_unlimited.py [READS]

Default: 10,000 reads, about a minute on two cores. One read a request, the emulator without limits and without latency: what
is left is our own cost and the emulator's. CPU is sampled once a second while the run is live, so its last second is missing
from the table.
"""

from __future__ import annotations

from harness import CpuMeter, argument, print_table, started_run


def main() -> None:
    reads = argument(__doc__, "READS", 10_000)
    settings = (
        f"source.count={reads}",
        "emulator.tier=unlimited",
        "emulator.latency_scale=0",
        "ray.dashboard=false",
        "throttle.max_cost_usd=1000",
    )
    cpu = CpuMeter()
    with started_run(*settings) as run:
        report = run.watch(cpu.sample)
    requests = report["requests"]
    speed = requests / report["duration_s"]
    print(f"{requests:,} requests in {report['duration_s']:.1f} s: {speed:.0f} requests/s, lost {report['lost']}\n")
    cost = cpu.spent()
    total = sum(cost.values())
    rows = [[name, seconds, 1000 * seconds / requests, f"{seconds / total:.0%}"] for name, seconds in cost.items()]
    print_table(["process", "CPU s", "CPU ms per request", "share"], [*rows, ["all", total, 1000 * total / requests, "100%"]])


if __name__ == "__main__":
    main()
