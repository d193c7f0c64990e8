"""A whole run of a million reads from an empty database, with the database stopped for a minute on the way: is it flat to the end?

    .venv/bin/python benchmarks/check_million.py [--reads N] [--stall SECONDS]

Backend aligner, the embedded PostgreSQL, which is stopped (SIGSTOP) when a third of the reads is stored; some ten minutes on two cores.
CPU is of all processes, PostgreSQL included, memory of all but PostgreSQL. Ends with 1 when more than the queue's capacity waited,
memory grew by more than a tenth after the first fifth, a read of the last tenth took more than 1.15 times the CPU of the first,
or a read is lost.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import psutil
import psycopg

from harness import Run, print_table, role, server_processes, started_run
from helix_ray.storage.embedded import EmbeddedServer

PARTS, MOST_GROWTH, MOST_MEMORY = 10, 1.15, 1.1
ROWS = "select coalesce(sum(reads_stored + dead_letters), 0)::bigint from helix.runs"


class Look(NamedTuple):
    stored: int  # reads
    at: float  # monotonic seconds
    cpu_s: Counter[str]  # so far, by role
    memory_mb: float  # proportional set size of all but PostgreSQL


class Meter:
    def __init__(self) -> None:
        self._seconds: dict[tuple[str, int], float] = {}
        self.looks: list[Look] = []

    def look(self, run: Run, stored: int) -> None:
        memory_mb = 0.0
        for process in [run.process, *run.process.children(recursive=True)]:
            with suppress(psutil.Error):  # it ended while being looked at
                self._count(role(process), process)
                memory_mb += process.memory_full_info().pss / 1e6
        for process in server_processes(run):
            with suppress(psutil.Error):
                self._count("PostgreSQL", process)
        spent: Counter[str] = Counter()
        for (name, _), seconds in self._seconds.items():
            spent[name] += seconds
        self.looks.append(Look(stored, time.monotonic(), spent, memory_mb))

    def _count(self, name: str, process: psutil.Process) -> None:
        times = process.cpu_times()
        self._seconds[name, process.pid] = times.user + times.system

    def parts(self, reads: int) -> Iterator[list[Look]]:
        """The looks of each part, its ends included. What follows the last read is the report, whose cost is not a read's."""
        during = [look for look in self.looks if 0 < look.stored < reads]
        for part in range(PARTS):
            low, high = (reads * end // PARTS for end in (part, part + 1))
            inside = [number for number, look in enumerate(during) if low <= look.stored < high]
            yield during[inside[0] : inside[-1] + 2]


def row_of(part: list[Look]) -> tuple[int, float, Counter[str], float]:
    """Reads up to its end, reads a second, µs of CPU a read by role, most MB."""
    first, last = part[0], part[-1]
    reads = last.stored - first.stored
    spent = Counter({name: 1e6 * (seconds - first.cpu_s[name]) / reads for name, seconds in last.cpu_s.items()})
    return last.stored, reads / (last.at - first.at), spent, max(look.memory_mb for look in part)


@contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    for process in processes:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reads", type=int, default=1_000_000)
    parser.add_argument("--stall", type=float, default=60.0, help="seconds")
    options = parser.parse_args()
    meter, stalled = Meter(), []

    def look(run: Run) -> None:
        meter.look(run, stored := rows(run))
        if not stalled and stored > options.reads // 3:
            stalled.append(stored)
            with stopped(server_processes(run)):
                ends = time.monotonic() + options.stall
                while time.monotonic() < ends:
                    time.sleep(1.0)
                    meter.look(run, stored)

    with started_run(f"source.count={options.reads}", "analyzer.backend=aligner", "ray.dashboard=false") as run:
        report = run.watch(look, timeout_s=3600.0)
        stored = rows(run)
    parts = [row_of(part) for part in meter.parts(options.reads)]
    names = [name for name, _ in sum((spent for _, _, spent, _ in parts), Counter[str]()).most_common(5)]
    lines = [[last, rate, spent.total(), *(spent[name] for name in names), most_mb] for last, rate, spent, most_mb in parts]
    print_table(["reads up to", "reads/s", "µs of CPU a read", *names, "MB at most"], lines)
    waited, capacity, lost, duplicates = (report[key] for key in ("max_queue_depth", "queue_capacity", "lost", "duplicates"))
    print(f"\nstopped for {options.stall:g} s at {stalled[0]:,} reads; at most {waited} of {capacity} waited, {report['max_held']} held")
    print(f"{stored:,} rows, lost {lost}, duplicates {duplicates}, {report['duration_s']:.0f} s")
    totals, memory = [spent.total() for _, _, spent, _ in parts], [most_mb for _, _, _, most_mb in parts]
    flat = totals[-1] <= MOST_GROWTH * totals[0] and max(memory[2:]) <= MOST_MEMORY * max(memory[:2])
    sys.exit(not flat or waited > capacity or (lost, duplicates, stored) != (0, 0, options.reads))


def rows(run: Run) -> int:
    """As the run's own totals have it; they move with the rows."""
    with suppress(OSError, IndexError, psycopg.Error), psycopg.connect(EmbeddedServer(run.home).url) as connection:
        found = connection.execute(ROWS).fetchone()
        return 0 if found is None else int(found[0])
    return 0


if __name__ == "__main__":
    main()
