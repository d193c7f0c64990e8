"""Plans of PostgreSQL: a read costs the same at every size of a run."""

import uuid

import psycopg

from helix_ray.config import Config
from helix_ray.records import ApiCall, CallState, ReadResult
from helix_ray.sources import make_source
from helix_ray.storage.postgres import PostgresLedger
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
