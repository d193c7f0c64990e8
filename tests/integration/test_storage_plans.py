"""Plans of PostgreSQL: a read costs the same at every size of a run."""

import asyncio
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from helix_ray.analysis.prompts.template import template_of
from helix_ray.client.stored import StoredRuns
from helix_ray.config import Config
from helix_ray.environment.secrets import Secret
from helix_ray.native import rust
from helix_ray.records import ApiCall, CallState, Disposition, Intent, ReadResult
from helix_ray.sources import make_source
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.postgres import PostgresLedger
from helix_ray.storage.postgres_session import PostgresTransaction
from helix_ray.storage.statements import statements
from support.ledger_values import RUN_ID, run_row
from support.scored_results import answered


async def started(url: str) -> PostgresLedger:
    ledger = await PostgresLedger.connect(url)
    await ledger.start_run(run_row())
    return ledger


def scanned_rows(url: str) -> int:
    query = b"select sum(seq_tup_read + idx_tup_fetch)::bigint as rows from pg_stat_user_tables where schemaname = 'helix'"
    with psycopg.connect(url) as connection:
        return int(connection.execute(query).fetchone()[0])


def request(of: ReadResult) -> ApiCall:
    return ApiCall(str(uuid.uuid4()), "analysis", 1, [of.read.read_index], CallState.ANSWERED, 200, "m")


async def test_a_read_touches_as_many_rows_at_any_size_of_a_run_that_began_with_a_small_batch(database_url: str) -> None:
    ledger, touched = await started(database_url), []
    source = make_source(Config.model_validate({"source": {"batch_size": 50}}))
    for number in range(30):
        batch = [answered(read) for read in source.block(number).rows()]
        await ledger.write_batch(RUN_ID, batch, [request(result) for result in batch])
        if number % 10 == 9:
            await ledger._session.run(lambda transaction: transaction.rows(b"select pg_stat_force_next_flush()"))
            touched.append(scanned_rows(database_url))
    await ledger.aclose()
    assert touched[2] - touched[1] < 1.2 * (touched[1] - touched[0]), touched


async def test_a_run_without_statistics_is_scored_by_joins_that_read_each_row_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, source = await started(database_url), make_source(Config.model_validate({"source": {"batch_size": 50}}))
    await ledger.write_batch(RUN_ID, [answered(read) for read in source.block(0).rows()], [])
    plain, plans = PostgresTransaction.rows, {}

    async def explained(transaction: PostgresTransaction, query: bytes, *given: object) -> object:
        if b"Missed truths near" in query or b"How many clusters" in query:
            plans[query] = "\n".join(row["QUERY PLAN"] for row in await plain(transaction, b"explain " + query, *given))
        return await plain(transaction, query, *given)

    monkeypatch.setattr(PostgresTransaction, "rows", explained)
    await ledger.scores(RUN_ID)
    await ledger.aclose()
    assert len(plans) == 2 and all("Join" in plan and "Nested Loop" not in plan for plan in plans.values()), plans


async def test_a_read_costs_no_more_statements_and_bytes(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one batch of 50 reads and 50 requests, the transaction's own two statements apart. Who makes them dearer says so here."""
    ledger, source = await started(database_url), make_source(Config.model_validate({"source": {"batch_size": 50}}))
    spent: Counter[str] = Counter()

    def counted(name: str) -> None:
        plain = getattr(PostgresTransaction, name)

        async def count(transaction: PostgresTransaction, query: bytes, *given: object) -> object:
            spent["statements"] += 1
            if name == "copy":
                given = ([*given[0]],)  # type: ignore[misc]
                spent["bytes"] += len(rust.copy_text(*given))
            return await plain(transaction, query, *given)

        monkeypatch.setattr(PostgresTransaction, name, count)

    for name in ("rows", "execute", "copy"):
        counted(name)
    results = [answered(read) for read in source.block(0).rows()]
    calls = [request(result) for result in results]
    await ledger.intend(RUN_ID, [Intent(call) for call in calls])
    assert spent == {"statements": 2}
    await ledger.write_batch(RUN_ID, results, calls)
    await ledger.aclose()
    assert spent["statements"] - 2 == 8
    assert spent["bytes"] / 50 < 1.1 * 1484


async def test_what_is_deleted_takes_its_variants_along(database_url: str) -> None:
    ledger, source = await started(database_url), make_source(Config.model_validate({"source": {"batch_size": 50}}))
    await ledger.write_batch(RUN_ID, [answered(read) for read in source.block(0).rows()], [])
    await ledger.aclose()
    with psycopg.connect(database_url, autocommit=True) as connection:
        for delete, left in ((b"delete from helix.reads where read_index > 1", [(0,), (1,)]), (b"delete from helix.runs", [])):
            connection.execute(delete)
            assert connection.execute(b"select distinct read_index from helix.variant_calls order by 1").fetchall() == left


async def test_the_ranges_of_a_run_are_read_in_the_order_of_its_key(database_url: str) -> None:
    ledger, source = await started(database_url), make_source(Config.model_validate({"source": {"batch_size": 50}}))
    await ledger.write_batch(RUN_ID, [answered(read) for block in range(0, 40, 2) for read in source.block(block).rows()], [])
    await ledger.aclose()
    query = statements("reading")["done_ranges"]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("vacuum analyze helix.reads")
        plan = "\n".join(row[0] for row in connection.execute(b"explain " + query, {"run_id": RUN_ID}))
    assert "Index Only Scan using reads_pkey" in plan
    assert "Sort" not in plan


async def test_one_read_is_found_with_its_requests_and_dead_letters_come_newest_first(database_url: str) -> None:
    ledger, source = await started(database_url), make_source(Config.model_validate({"source": {"batch_size": 50}}))
    results = [answered(read) for read in source.block(0).rows()]
    results[3] = replace(results[3], read=results[3].read._replace(read_id="5"))
    results[4] = replace(results[4], prompt="indexed10", prompt_hash=template_of(Config().analyzer).sha256)
    dead = [replace(result, disposition=Disposition.DEAD_LETTER, error_kind="parse_error", error="no JSON") for result in results[8:10]]
    dead[0] = replace(dead[0], finished_at=datetime(2026, 1, 3, tzinfo=UTC))
    calls = [request(result) for result in results[3:6]]
    await ledger.write_batch(RUN_ID, [*results[:8], *dead], calls)
    named = results[4].read.read_id
    assert [await ledger.find_read(RUN_ID, name) for name in ("5", named, "9" * 30, "nothing")] == [5, 4, None, None]
    assert [call.call_id for call in await ledger.calls_of_read(RUN_ID, 4, 10)] == [calls[1].call_id]
    found = await ledger.dead_letters(RUN_ID, 10)
    await ledger.aclose()
    assert [(letter.read_index, letter.error_kind, letter.error) for letter in found] == [
        (8, "parse_error", "no JSON"),
        (9, "parse_error", "no JSON"),
    ]
    story = StoredRuns(Path()).read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoredRuns, "_ask", lambda self, question: with_ledger(Secret(database_url), question))
        told = await asyncio.to_thread(story, RUN_ID, "4")
    assert told is not None
    assert (told.result.read.read_id, len(told.requests)) == (named, 1)
    assert told.system == template_of(Config().analyzer).system
    assert told.user is not None
    assert told.user.startswith("id: (opaque)\nreference")
