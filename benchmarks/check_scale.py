"""Whether a read costs the same at every size of a run: memory for the gaps in what is done, time in the database.

    .venv/bin/python benchmarks/check_scale.py [--rows N] [--every K] [--kind aligner|api]

Default: 1,000,000 rows, each with its request on record, into an empty embedded PostgreSQL, in batches of 40 to 70; some ten minutes
on two cores. Only every second index has a row, so there are as many gaps as rows. 10^8 indices with 10^6 gaps are made without a
database. Ends with 1 when a gap takes more than 100 bytes, or the last tenth of the rows more than 1.3 times PostgreSQL's CPU of the
first.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import random
import shutil
import sys
import tempfile
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psutil

from harness import print_table
from helix_ray.analyzer.leased_reads import ReadTask
from helix_ray.analyzer.read_results import ResultMaker
from helix_ray.config import Config
from helix_ray.queueing.bounded_queue import BoundedQueue
from helix_ray.queueing.ranges import IndexRanges
from helix_ray.records import ApiCall, CallState, ReadResult
from helix_ray.records.calls import Intent
from helix_ray.sources import make_source
from helix_ray.storage.embedded import EmbeddedServer
from helix_ray.storage.postgres import PostgresLedger
from support.ledger_values import RUN_ID, run_row

MOST_BYTES, MOST_GROWTH, PARTS, PATTERN = 100, 1.3, 10, 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=2, help="of the indices one has a row")
    parser.add_argument("--kind", choices=["aligner", "api"], default="api", help="without or with a request for each read")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="helix-scale-", dir="/tmp"))
    home.chmod(0o711)
    server = EmbeddedServer(home)
    server.join()
    try:
        costs = asyncio.run(written(server, options.rows, options.every, options.kind == "api"))
        gaps = [
            ["10^8 made", *gaps_of(lambda: IndexRanges((first, first + 100) for first in range(0, 101 * 10**6, 101)))],
            ["stored rows", *gaps_of(lambda: asyncio.run(stored(server.url)))],
        ]
    finally:
        server.leave()
        shutil.rmtree(home, ignore_errors=True)
    print_table(["rows up to", "µs a read", "of these PostgreSQL's CPU"], costs)
    print_table(
        ["indices", "gaps", "bytes a gap", "bytes a gap, at most at a time", "bytes a gap, sent", "s", "µs to acknowledge a read"], gaps
    )
    sys.exit(any(row[2] > MOST_BYTES for row in gaps) or costs[-1][2] > MOST_GROWTH * costs[0][2])


async def written(server: EmbeddedServer, rows: int, every: int, api: bool) -> list[list[float]]:
    """Rows so far, µs a read, µs of PostgreSQL's CPU a read: of each tenth."""
    ledger = await PostgresLedger.connect(server.url)
    await ledger.migrate()
    await ledger.start_run(run_row())
    pattern, sizes, costs, done = results(), random.Random(1), [], 0
    for part in range(1, PARTS + 1):
        began, spent, first = time.monotonic(), server_cpu_s(server), done
        while done < rows * part // PARTS:
            batch = [renumbered(pattern[i % PATTERN], i * every) for i in range(done, done + sizes.randint(40, 70))]
            calls = [request(result) for result in batch] if api else []
            if api:
                await ledger.intend(RUN_ID, [Intent(replace(call, state=CallState.INTENDED, finished_at=None)) for call in calls])
            await ledger.write_batch(RUN_ID, batch, calls)
            done += len(batch)
        new = done - first
        costs.append([done, 1e6 * (time.monotonic() - began) / new, 1e6 * (server_cpu_s(server) - spent) / new])
        print(f"{done:,} rows: {costs[-1][1]:.0f} µs a read, {costs[-1][2]:.0f} of PostgreSQL", file=sys.stderr, flush=True)
    await ledger.aclose()
    return costs


def results() -> list[ReadResult]:
    """Of the synthetic source, answered by the aligner."""
    source, maker = make_source(Config.model_validate({"source": {"count": PATTERN, "batch_size": 500}})), ResultMaker("aligner")
    blocks = [source.block(number) for number in range(PATTERN // 500)]
    return [maker.aligned(ReadTask(read, "", 1.0), datetime.now(UTC)) for block in blocks if block for read in block.rows()]


def renumbered(result: ReadResult, index: int) -> ReadResult:
    return replace(result, read=result.read._replace(read_index=index), call_id=str(uuid.uuid4()))


def request(result: ReadResult) -> ApiCall:
    cost, now = Decimal("0.0001"), datetime.now(UTC)
    return ApiCall(
        result.call_id or "", "analysis", 1, [result.read.read_index], CallState.ANSWERED, 200, "m", 500, 0, 50, cost, cost, 90.0, "r",
        finished_at=now,
    )  # fmt: skip


def server_cpu_s(server: EmbeddedServer) -> float:
    postmaster = psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))
    return sum(sum(process.cpu_times()[:4]) for process in [postmaster, *postmaster.children()])


async def stored(url: str) -> IndexRanges:
    ledger = await PostgresLedger.connect(url, statement_timeout_s=600.0)
    try:
        return await ledger.done_ranges(RUN_ID)
    finally:
        await ledger.aclose()


def gaps_of(make: Callable[[], IndexRanges]) -> Iterator[float]:
    """Gaps, bytes a gap held, at most while it is made, and pickled, seconds to make it, µs to acknowledge a read in one."""
    began = time.monotonic()
    make()
    took_s = time.monotonic() - began
    tracemalloc.start()
    ranges = make()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    gaps = len(ranges) - 1
    yield from (gaps, held / gaps, peak / gaps, len(pickle.dumps(ranges)) / gaps, took_s)
    queue, lowest = BoundedQueue(500, 100, 120.0, ""), [end for _, (_, end) in zip(range(10_000), ranges, strict=False)]
    queue.open(ranges, 1)
    began = time.monotonic()
    for at in range(0, len(lowest), 50):
        queue.ack(lowest[at : at + 50])
    yield 1e6 * (time.monotonic() - began) / len(lowest)


if __name__ == "__main__":
    main()
