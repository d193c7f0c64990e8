"""Reads a second into PostgreSQL with the API left out: backend aligner.

.venv/bin/python benchmarks/bench_aligner_sink.py [READS]
"""

from __future__ import annotations

import sys

from harness import Run, cpu_seconds, print_table, started_run


def main() -> None:
    reads = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    first: dict[str, float] = {}

    def remember_start(run: Run) -> None:
        if not first:
            first.update(cpu_seconds(run))

    with started_run(f"source.count={reads}", "analyzer.backend=aligner", "ray.dashboard=false") as run:
        report = run.watch(remember_start)
        last = cpu_seconds(run)
    print(f"{report['reads_stored']:,} reads in {report['duration_s']:.1f} s, lost {report['lost']}")
    print(f"{report['reads_per_s']:.0f} reads/s into PostgreSQL\n")
    cost = {name: seconds - first.get(name, 0.0) for name, seconds in last.items()}
    rows = [[name, seconds, 1000 * seconds / reads] for name, seconds in sorted(cost.items(), key=lambda item: -item[1])]
    print_table(["process", "CPU s", "CPU ms per read"], rows)


if __name__ == "__main__":
    main()
