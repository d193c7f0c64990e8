"""Reads a second into PostgreSQL with the API left out: backend aligner.

    .venv/bin/python benchmarks/bench_aligner_sink.py [READS]

Default: 50,000 reads, under a minute on two cores. CPU is sampled once a second while the run is live, so its last second
is missing from the table.
"""

from __future__ import annotations

from harness import CpuMeter, argument, print_table, started_run


def main() -> None:
    reads = argument(__doc__, "READS", 50_000)
    cpu = CpuMeter()
    with started_run(f"source.count={reads}", "analyzer.backend=aligner", "ray.dashboard=false") as run:
        report = run.watch(cpu.sample)
    print(f"{report['reads_stored']:,} reads in {report['duration_s']:.1f} s, lost {report['lost']}, duplicates {report['duplicates']}")
    print(f"{report['reads_per_s']:.0f} reads/s into PostgreSQL\n")
    rows = [[name, seconds, 1000 * seconds / reads] for name, seconds in cpu.spent().items()]
    print_table(["process", "CPU s", "CPU ms per read"], rows)


if __name__ == "__main__":
    main()
