"""The ledger on a real PostgreSQL: schema, deadlines, lost connections, wrong addresses, rights."""

import asyncio
import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest
from psycopg import sql

from helix_ray.errors import DatabaseLostError, DatabaseUnavailableError, InvariantError, RunBusyError
from helix_ray.records import ApiCall, CallState, Disposition, ReadResult, ScoredVariant
from helix_ray.storage import postgres, postgres_session
from helix_ray.storage.ledger import RunRow
from helix_ray.storage.postgres import PostgresLedger, latest_version
from helix_ray.storage.postgres_session import PostgresSession
from helix_ray.storage.rows import utc_now
from support.list_source import sample_read

RUN_ID = str(uuid.UUID(int=7))


def result(index: int, seq: str | None = None, **changes: object) -> ReadResult:
    read = sample_read(index)
    return ReadResult(read._replace(seq=seq) if seq is not None else read, Disposition.STORED, **changes)  # type: ignore[arg-type]


async def started(url: str, statement_timeout_s: float = 30.0) -> PostgresLedger:
    ledger = await PostgresLedger.connect(url, statement_timeout_s)
    await ledger.start_run(RunRow(RUN_ID, "n", "{}", "h", 1, {}, None, utc_now(), "emulator", True))
    return ledger


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


# ── schema ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_may_migrate_an_empty_database_at_once(empty_database_url: str) -> None:
    ledgers = [PostgresLedger(empty_database_url) for _ in range(3)]
    facts = await ledgers[0].check()
    assert (facts.kind, facts.schema_version) == ("postgresql", None)
    assert await asyncio.gather(*(ledger.migrate() for ledger in ledgers)) == [latest_version()] * 3
    assert (await ledgers[0].check()).schema_version == latest_version()
    for ledger in ledgers:
        await ledger.aclose()
    assert rows(empty_database_url, "select version from helix.schema_version order by 1") == [
        (version + 1,) for version in range(latest_version())
    ]


async def test_a_schema_of_a_later_version_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("insert into helix.schema_version (version, name) values (9999, 'later')")
    ledger = PostgresLedger(database_url)
    with pytest.raises(DatabaseUnavailableError, match="made by a newer"):
        await ledger.check()
    with pytest.raises(DatabaseUnavailableError, match="made by a newer"):
        await ledger.migrate()
    await ledger.aclose()


async def test_totals_of_the_run_follow_what_was_inserted(database_url: str) -> None:
    ledger = await started(database_url)
    call = ApiCall(str(uuid.UUID(int=1)), "analysis", 1, [0], CallState.SENT, None, "m")
    answered = ApiCall(call.call_id, "analysis", 1, [0], CallState.ANSWERED, 200, "m", 10, 4, 5, Decimal("0.1"), Decimal("0.02"))
    await ledger.write_batch(RUN_ID, [result(0)], [call])
    for _ in range(2):
        await ledger.write_batch(RUN_ID, [result(0), result(1), result(2, seq="\x00")], [call, answered])
    await ledger.aclose()
    totals = "reads_stored, dead_letters, requests, prompt_tokens, cached_tokens, completion_tokens, cost_usd"
    assert rows(database_url, f"select {totals} from helix.runs") == [(2, 1, 1, 10, 4, 5, Decimal("0.02"))]
    summary = "rows, reads_stored, dead_letters, requests, http_429, cost_usd, cost_per_1000_reads::numeric(9,3)"
    assert rows(database_url, f"select {summary} from helix.run_summary") == [(3, 2, 1, 1, 0, Decimal("0.02"), Decimal("10.000"))]
    assert rows(database_url, "select read_index, error_kind from helix.dead_letters") == [(2, "unstorable")]
    assert rows(database_url, "select read_index from helix.analyses order by 1") == [(0,), (1,)]


async def test_every_view_says_which_backend_answered(database_url: str) -> None:
    ledger = await started(database_url)
    truth = ScoredVariant("truth", 3, "A", "T", "SNV", "snv", None, None, "FN", None, "missed", None, "FN")
    await ledger.write_batch(RUN_ID, [result(0, variants=[truth]), result(1, seq="\x00")], [])
    await ledger.aclose()
    for view in ("analyses", "dead_letters", "run_summary", "accuracy_by_type", "ceiling_by_type", "scored_variants"):
        assert rows(database_url, f"select backend, simulated from helix.{view}") == [("emulator", True)], view
    assert rows(database_url, "select distinct backend, simulated from helix.accuracy_by_stratum") == [("emulator", True)]


async def test_the_emulator_is_always_simulated(database_url: str) -> None:
    ledger = await PostgresLedger.connect(database_url)
    with pytest.raises(InvariantError, match="emulator_is_simulated"):
        await ledger.start_run(RunRow(RUN_ID, "n", "{}", "h", 1, {}, None, utc_now(), "emulator", False))
    with pytest.raises(InvariantError, match="runs_backend_check"):
        await ledger.start_run(RunRow(RUN_ID, "n", "{}", "h", 1, {}, None, utc_now(), "other", False))
    await ledger.aclose()


async def test_a_value_that_breaks_a_constraint_is_a_dead_letter(database_url: str) -> None:
    ledger = await started(database_url)
    odd = ScoredVariant("call", 3, "A", "T", "SNV", None, 1.5, "ok", None, None)
    outcome = await ledger.write_batch(RUN_ID, [result(0), result(1, variants=[odd]), result(2, latency_ms=float("nan")), result(3)], [])
    await ledger.aclose()
    assert outcome.inserted == [0, 3]
    reasons = dict(outcome.poisoned)
    assert "variant_calls_confidence_check" in reasons[1]
    assert "reads_latency_ms_check" in reasons[2]


async def test_a_row_that_cannot_even_be_buried_is_said_aloud(database_url: str) -> None:
    ledger = await started(database_url)
    with pytest.raises(InvariantError, match="read -1 can be stored neither"):
        await ledger.write_batch(RUN_ID, [result(-1), result(0)], [])
    await ledger.aclose()


async def test_a_bad_row_is_found_by_halving(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = await started(database_url)
    attempts = 0
    attempt = PostgresSession.attempt

    async def counted(self: PostgresSession, work: object) -> object:
        nonlocal attempts
        attempts += 1
        return await attempt(self, work)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgresSession, "attempt", counted)
    for place in (0, 511, 300):
        attempts = 0
        base = 1000 * (place + 1)
        batch = [result(base + index, seq="A\x00" if index == place else None) for index in range(512)]
        outcome = await ledger.write_batch(RUN_ID, batch, [])
        assert [index for index, _ in outcome.poisoned] == [base + place]
        assert len(outcome.inserted) == 511
        assert attempts <= 2 * 9 + 2  # log2(512) = 9, and the dead letter itself
    await ledger.aclose()


# ── deadlines and lost connections ───────────────────────────────────────────────────────────────────────────────────


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_hung_backend_holds_nobody_beyond_the_deadline(database_url: str) -> None:
    ledger = await started(database_url, statement_timeout_s=1.0)
    [(pid,)] = rows(
        database_url,
        "select pid from pg_stat_activity where application_name = 'helix-throttle' and datname = current_database()",
    )
    loop = asyncio.get_running_loop()
    began = loop.time()
    with frozen(int(str(pid))), pytest.raises(DatabaseLostError, match="within 1 s"):
        await ledger.write_batch(RUN_ID, [result(0)], [])
    assert loop.time() - began < 1.0 + 5.0  # the promise itself: deadline + 5 s
    assert (await ledger.write_batch(RUN_ID, [result(0)], [])).committed == [0]
    await ledger.aclose()


async def test_a_cancelled_call_leaves_the_ledger_usable(database_url: str) -> None:
    ledger = await started(database_url)
    with psycopg.connect(database_url) as other:
        other.execute("select 1 from helix.runs for update")
        task = asyncio.create_task(ledger.write_batch(RUN_ID, [result(0)], []))
        await until_blocked(database_url)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await ledger.write_batch(RUN_ID, [result(0)], [])).committed == [0]
    await ledger.aclose()


async def until_blocked(url: str) -> None:
    query = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    while not rows(url, query):  # noqa: ASYNC110  (the state of another process)
        await asyncio.sleep(0.01)


async def test_a_terminated_backend_is_told_and_the_next_call_connects_again(database_url: str) -> None:
    ledger = await started(database_url)
    for index in range(5):
        terminate_all(database_url)
        with pytest.raises(DatabaseLostError):
            await ledger.write_batch(RUN_ID, [result(index)], [])
        assert (await ledger.write_batch(RUN_ID, [result(index)], [])).inserted == [index]
    await ledger.aclose()


def terminate_all(url: str) -> None:
    query = (
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
        "where application_name = 'helix-throttle' and datname = current_database()"
    )
    assert rows(url, query)


# ── the claim ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_run_has_one_writer(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_session, "CLAIM_TIMEOUT_S", 0.0)
    first, second = await started(database_url), PostgresLedger(database_url)
    await first.claim(RUN_ID)
    row = RunRow(RUN_ID, "n", "{}", "h", 1, {}, None, utc_now(), "emulator", True)
    with pytest.raises(RunBusyError, match=f"run {RUN_ID} is written by another process"):
        await second.resume_run(RUN_ID, row)
    with pytest.raises(RunBusyError, match="is written by another process"):
        await second.claim(RUN_ID)
    with pytest.raises(DatabaseLostError, match="is written by another process"):
        await second.write_batch(RUN_ID, [result(0)], [])
    third = PostgresLedger(database_url)
    await third.claim(str(uuid.UUID(int=8)))  # another run is free
    await first.write_batch(RUN_ID, [result(0)], [])
    for ledger in (first, second, third):
        await ledger.aclose()
    assert rows(database_url, "select resumes, (select count(*) from helix.reads) from helix.runs") == [(0, 1)]


async def test_who_comes_next_waits_for_the_end_of_its_predecessor(database_url: str) -> None:
    first, second = await started(database_url), PostgresLedger(database_url)
    await first.claim(RUN_ID)
    claim = asyncio.create_task(second.claim(RUN_ID))
    done, _ = await asyncio.wait({claim}, timeout=0.5)
    assert not done
    await first.aclose()
    await asyncio.wait_for(claim, postgres_session.CLAIM_TIMEOUT_S + 5)
    await second.aclose()


async def test_a_connection_that_was_lost_is_claimed_again(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_session, "CLAIM_TIMEOUT_S", 0.0)
    ledger, other = await started(database_url), PostgresLedger(database_url)
    await ledger.claim(RUN_ID)
    terminate_all(database_url)
    with pytest.raises(DatabaseLostError):
        await ledger.write_batch(RUN_ID, [result(0)], [])
    assert (await ledger.write_batch(RUN_ID, [result(0)], [])).inserted == [0]
    with pytest.raises(RunBusyError):
        await other.claim(RUN_ID)
    await ledger.aclose()
    await other.aclose()


# ── rights ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def limited_url(database_url: str) -> Iterator[str]:
    """The database as a role that may do nothing in it."""
    role = f"limited_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        yield database_url.replace("postgres@", f"{role}@")
        connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(role)))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


async def check(url: str) -> str:
    ledger = await PostgresLedger.connect(url)
    try:
        with pytest.raises(DatabaseUnavailableError) as caught:
            await ledger.check()
    finally:
        await ledger.aclose()
    return str(caught.value)


async def test_missing_rights_are_named(database_url: str, limited_url: str) -> None:
    role = limited_url.removeprefix("postgresql://").partition("@")[0]
    assert "GRANT USAGE" in await check(limited_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("grant usage on schema helix to {}").format(sql.Identifier(role)))
        connection.execute(sql.SQL("grant select on helix.schema_version to {}").format(sql.Identifier(role)))
        assert "helix.api_calls, helix.control_events, helix.reads, helix.receipts, helix.runs, helix.variant_calls" in await check(
            limited_url
        )
        connection.execute(sql.SQL("grant select, insert, update on all tables in schema helix to {}").format(sql.Identifier(role)))
        assert "DELETE on helix.receipts;" in await check(limited_url)
        connection.execute(sql.SQL("grant delete on helix.receipts to {}").format(sql.Identifier(role)))
    ledger = await started(limited_url)
    await ledger.check()
    assert (await ledger.write_batch(RUN_ID, [result(0)], [])).committed == [0]
    await ledger.aclose()


async def test_a_role_that_may_not_create_is_told_so(empty_database_url: str) -> None:
    role = f"limited_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        assert "GRANT CREATE ON DATABASE" in await check(empty_database_url.replace("postgres@", f"{role}@"))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


async def test_a_read_only_server_is_told(database_url: str) -> None:
    assert "read-only" in await check(f"{database_url}&options=-c%20default_transaction_read_only%3Don")


async def test_sessions_without_a_pooler_pass(database_url: str) -> None:
    first, second = PostgresSession(database_url, 5), PostgresSession(database_url, 5)
    await postgres.refuse_transaction_pooler(first, second)
    await first.aclose()
    await second.aclose()


async def test_money_keeps_twelve_decimals(database_url: str) -> None:
    ledger = await started(database_url)
    tiny = Decimal("0.000000000001")
    call = ApiCall(str(uuid.uuid4()), "analysis", 1, [0], CallState.ANSWERED, 200, "m", cost_usd=tiny, created_at=datetime.now(UTC))
    await ledger.write_batch(RUN_ID, [result(0, cost_usd=tiny)], [call])
    assert await ledger.spent_usd(RUN_ID) == tiny
    await ledger.aclose()
    assert rows(database_url, "select cost_share_usd from helix.reads") == [(tiny,)]
