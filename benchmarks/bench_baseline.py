"""What the aligner beside every model and the checksum at the sink cost: time and space per read, against the same without them.

    .venv/bin/python benchmarks/bench_baseline.py [READS]

Default: 20,000 synthetic reads of the preset bench, half a minute on one core. Each read is aligned, scored and verified as the
analyzer and the sink do it, then stored in batches of 500 in an embedded PostgreSQL of its own, with and without the baseline's
rows, in turns.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import argument, print_table
from helix_ray.backends.aligner import aligner_calls
from helix_ray.config import Config
from helix_ray.native import rust
from helix_ray.records import Disposition, Read, ReadResult
from helix_ray.scoring.score import score_read
from helix_ray.sources.synthetic import SyntheticSource
from helix_ray.storage.embedded import EmbeddedServer
from helix_ray.storage.integrity import verified
from helix_ray.storage.ledger import RunRow
from helix_ray.storage.postgres import PostgresLedger
from helix_ray.storage.rows import utc_now

BATCH, ROUNDS = 500, 4


def main() -> None:
    reads = argument(__doc__, "READS", 20_000, least=BATCH)
    rows = [read for batch in _blocks(reads) for read in batch]
    plain = [_answered(read) for read in rows]
    beside, align_s = _timed(lambda: [_answered(item.read, beside=True) for item in plain])
    _, replace_s = _timed(lambda: [_answered(item.read) for item in plain])
    whole, checksum_s = _timed(lambda: verified(beside, rust.checksum))
    assert whole == beside
    stored = asyncio.run(_store({"without": plain, "with": beside}))
    (before_s, before_bytes), (after_s, after_bytes) = stored["without"], stored["with"]
    print_table(
        ["per read", "without", "with", "difference"],
        [
            ["align and score, us", 0, *[1e6 * (align_s - replace_s) / reads] * 2],
            ["checksum, us", 0, *[1e6 * checksum_s / reads] * 2],
            ["store, us", 1e6 * before_s / reads, 1e6 * after_s / reads, f"{after_s / before_s - 1:+.1%}"],
            ["on disk, bytes", before_bytes / reads, after_bytes / reads, f"{after_bytes / before_bytes - 1:+.1%}"],
        ],
    )


def _blocks(reads: int) -> list[list[Read]]:
    source = SyntheticSource(Config.model_validate({"source": {"count": reads, "batch_size": BATCH}}))
    blocks = (source.block(index) for index in range(-(-reads // BATCH)))
    return [block.rows() for block in blocks if block is not None]


def _answered(read: Read, *, beside: bool = False) -> ReadResult:
    """As a model that is always right would have it, with an answer of usual length."""
    calls = aligner_calls(read)
    variants = score_read(read, calls, aligner_calls(read) if beside else None).rows
    return ReadResult(
        read, Disposition.STORED, variants, True, raw_answer="x" * 120, model="openai/gpt-oss-20b", prompt="indexed10", prompt_hash="0" * 64
    )


def _timed(work: Callable[[], list[ReadResult]]) -> tuple[list[ReadResult], float]:
    """Its result, and the best time of three."""
    best, result = float("inf"), work()
    for _ in range(3):
        began = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - began)
    return result, best


async def _store(results: dict[str, list[ReadResult]]) -> dict[str, tuple[float, int]]:
    """Best seconds, and bytes of the tables with their indices, by kind. The rounds take turns, each in a database of its own."""
    measured: dict[str, tuple[float, int]] = {}
    with tempfile.TemporaryDirectory(prefix="helix-bench-", ignore_cleanup_errors=True) as folder:
        server = await asyncio.to_thread(_start, Path(folder))
        try:
            for _ in range(ROUNDS):
                for kind, items in results.items():
                    seconds, size = await _store_once(server.url, items)
                    measured[kind] = (min(seconds, measured.get(kind, (seconds, 0))[0]), size)
        finally:
            server.leave()
    return measured


def _start(home: Path) -> EmbeddedServer:
    home.chmod(0o711)  # as root, PostgreSQL runs as a user of its own
    server = EmbeddedServer(home)
    server.join()
    return server


async def _store_once(url: str, results: Sequence[ReadResult]) -> tuple[float, int]:
    ledger = await PostgresLedger.connect(url)
    await ledger.migrate()
    run_id = str(uuid.uuid4())
    await ledger.start_run(RunRow(run_id, "bench", "{}", "h", 1, {}, None, utc_now(), "groq", False))
    began = time.perf_counter()
    for start in range(0, len(results), BATCH):
        await ledger.write_batch(run_id, results[start : start + BATCH], [])
    seconds = time.perf_counter() - began
    session = ledger._session
    query = b"select pg_total_relation_size('helix.reads') + pg_total_relation_size('helix.variant_calls') as bytes"
    size = int((await session.run(lambda transaction: transaction.rows(query)))[0]["bytes"])
    await session.run(lambda transaction: transaction.execute(b"drop schema helix cascade"))
    await ledger.aclose()
    return seconds, size


if __name__ == "__main__":
    main()
