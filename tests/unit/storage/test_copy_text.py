"""The text of COPY: equal byte by byte to what psycopg would write of the same rows."""

import pickle
from datetime import UTC, datetime

from psycopg._copy_base import format_row_text
from psycopg.adapt import Transformer

from helix_ray.native import rust
from helix_ray.records import ApiCall, CallState, ReadBatch, ReadResult
from helix_ray.storage.rows import call_row, read_row, variant_rows
from support.ledger_values import RUN_ID
from support.scored_results import scored_results

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def psycopgs(rows: list[tuple[object, ...]]) -> bytes:
    text, transformer = bytearray(), Transformer()
    for row in rows:
        format_row_text(row, transformer, text)
    return bytes(text)


def test_rows_of_all_presets_and_endings_are_written_as_psycopg_writes_them() -> None:
    results: list[ReadResult] = scored_results(400)
    assert len({(result.disposition, result.outcome, result.read.source) for result in results}) > 5
    calls = [ApiCall(str(number), "analysis", 1, [1, 2], state, 200, "m\t\\N", latency_ms=1e-7) for number, state in enumerate(CallState)]
    for rows in (
        [read_row(RUN_ID, result, NOW) for result in results],
        [row for result in results for row in variant_rows(RUN_ID, result)],
        [tuple(call_row(RUN_ID, call, NOW).values()) for call in calls],
        [("\b\t\n\v\f\r\\.é\U0001f9ec", "", None, True, False, -(2**63), 2**64 - 1, 1e16, 0.1, [], ["a", "b"], [1, -2])],
    ):
        assert rust.copy_text(rows) == psycopgs(rows)


def test_a_result_arrives_as_it_left() -> None:
    results = scored_results(200)
    assert pickle.loads(pickle.dumps(results)) == results
    assert ReadBatch.from_rows(result.read for result in results).rows() == [result.read for result in results]
