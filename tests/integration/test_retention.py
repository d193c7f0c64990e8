"""Several runs in one database: one is deleted, all are backed up and restored elsewhere, and the others are as they were."""

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from helix_ray.cli import app
from helix_ray.config import Config
from helix_ray.errors import ConfigError, RunBusyError
from helix_ray.records import RunStatus
from helix_ray.records.calls import Intent
from helix_ray.sources import make_source
from helix_ray.storage import postgres_session
from helix_ray.storage.embedded import EmbeddedServer
from helix_ray.storage.integrity import dead_lettered
from helix_ray.storage.ledger import RunRow
from helix_ray.storage.postgres import PostgresLedger
from support.ledger_values import call
from support.scored_results import answered

KEPT, GONE = (str(uuid.UUID(int=number)) for number in (1, 2))
Helix = Callable[..., Result]
OF_A_RUN = ("runs", "reads", "variant_calls", "api_calls", "control_events", "receipts")


async def stored(url: str, *, simulated: bool = True) -> None:
    block = make_source(Config()).block(0)
    assert block is not None
    ledger = PostgresLedger(url)
    for number, (run_id, name) in enumerate(((KEPT, "kept"), (GONE, "gone"))):
        backend, began = ("emulator", datetime(2026, 1, 1, tzinfo=UTC)) if simulated else ("groq", datetime.now(UTC) - timedelta(hours=1))
        await ledger.start_run(RunRow(run_id, name, Config().model_dump_json(), "h", 1, {}, None, began, backend, simulated))
        await ledger.write_batch(run_id, [answered(read) for read in block.rows()], [call(number + 1, [0])])
        await ledger.finish_run(run_id, RunStatus.COMPLETE, {})
    await ledger.aclose()


def rows(url: str, run_id: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        query = "select count(*) from helix.{} where run_id = %s"
        return {table: connection.execute(query.format(table).encode(), [run_id]).fetchone()[0] for table in OF_A_RUN}  # type: ignore[index]


@pytest.fixture
def helix(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helix:
    monkeypatch.setenv("HELIX_HOME", str(tmp_path / "home"))

    def command(*words: str, url: str = database_url, answer: str = "") -> Result:
        monkeypatch.setenv("DATABASE_URL", url)  # each command withdraws it
        return CliRunner().invoke(app, words, input=answer)

    return command


def test_a_deleted_run_leaves_every_table_and_the_other_stays(helix: Helix, database_url: str) -> None:
    asyncio.run(stored(database_url))
    kept, gone = rows(database_url, KEPT), rows(database_url, GONE)
    assert gone["reads"] == 50 and gone["variant_calls"] > 50 and gone["api_calls"] == 1
    for words, answer in ((("gone", "--dry-run"), ""), (("gone",), "n\n")):
        assert "gone, 2026-01-01 00:00 UTC, complete: 50 reads" in helix("runs", "delete", *words, answer=answer).output
        assert rows(database_url, GONE) == gone
    done = helix("runs", "delete", GONE[-36:], "--yes")
    assert f"deleted {GONE}: 50 reads, {gone['variant_calls']} variants, 1 requests" in done.output, done.exception
    assert rows(database_url, GONE) == dict.fromkeys(OF_A_RUN, 0)
    assert rows(database_url, KEPT) == kept
    assert [json.loads(line)["name"] for line in helix("runs", "--json").output.splitlines()] == ["kept"]
    assert "deleted" in helix("runs", "delete", "--older-than", "30", "--yes").output
    assert rows(database_url, KEPT) == dict.fromkeys(OF_A_RUN, 0)
    assert helix("runs", "delete", "--older-than", "30", "--yes").output == "Nothing was deleted.\n"


def test_runs_that_are_written_or_that_limits_still_count_are_refused(
    helix: Helix,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asyncio.run(stored(database_url, simulated=False))
    refused = helix("runs", "delete", "gone", "--yes")
    assert isinstance(refused.exception, ConfigError) and "the last 24 hours" in str(refused.exception)
    monkeypatch.setattr(postgres_session, "CLAIM_TIMEOUT_S", 0.1)
    with psycopg.connect(database_url) as other:
        other.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [GONE])
        assert isinstance(helix("runs", "delete", "gone", "--yes", "--force").exception, RunBusyError)
    assert rows(database_url, GONE)["reads"] == 50
    assert "deleted" in helix("runs", "delete", "gone", "--yes", "--force").output
    assert isinstance(helix("runs", "delete").exception, ConfigError)


def test_a_run_that_was_killed_long_ago_can_be_deleted_by_name_and_by_age_at_once(helix: Helix, database_url: str) -> None:
    asyncio.run(stored(database_url, simulated=False))
    with psycopg.connect(database_url) as connection:
        connection.execute("update helix.runs set status = 'running', finished_at = null, started_at = now() - interval '3 days'")
        connection.execute("update helix.api_calls set created_at = now() - interval '2 days'")
    deleted = helix("runs", "delete", "gone", "--older-than", "1", "--yes")
    assert deleted.output.count("deleted ") == 2, deleted.exception
    assert rows(database_url, KEPT) == rows(database_url, GONE) == dict.fromkeys(OF_A_RUN, 0)


def test_an_address_that_names_no_database_means_the_users_own(helix: Helix, postgres_server: EmbeddedServer) -> None:
    unnamed = postgres_server.url.replace("@/postgres?", "@/?")
    assert unnamed != postgres_server.url
    asked = helix("db", "shell", "--external", "--", "-c", "do $$ begin assert current_database() = current_user; end $$", url=unnamed)
    assert asked.exit_code == 0, asked.exception


def test_a_backup_is_restored_into_another_database_and_never_over_runs(
    helix: Helix,
    database_url: str,
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    asyncio.run(stored(database_url))
    file = tmp_path / "runs.dump"
    assert "bytes" in helix("db", "backup", str(file), "--external").output
    assert "exists" in str(helix("db", "backup", str(file), "--external").exception)
    assert "has 2 runs" in str(helix("db", "restore", str(file), "--external").exception)
    done = helix("db", "restore", str(file), "--external", url=empty_database_url)
    assert done.exit_code == 0, done.exception
    assert rows(empty_database_url, GONE) == rows(database_url, GONE)
    assert asyncio.run(go_on(empty_database_url)) == ([(0, 50)], 0)


def test_dead_letters_are_shown_and_leave_room_for_another_answer(helix: Helix, database_url: str) -> None:
    asyncio.run(stored(database_url))
    assert "has no dead letters" in helix("dead-letters", "list", "--run", "kept").output
    asyncio.run(fail(database_url, [100, 101, 102]))
    listed = helix("dead-letters", "list", "--run", "kept", "--json").output.splitlines()
    assert [json.loads(line)["read_index"] for line in listed] == [102, 101, 100]
    shown = helix("dead-letters", "show", "101", "--run", "kept").output
    assert "read 101" in shown and "truncated" in shown and "request 00000000" in shown
    assert "no dead letter '3'" in str(helix("dead-letters", "show", "3", "--run", "kept").exception)
    assert "index 3" in str(helix("dead-letters", "redrive", "3", "--run", "kept").exception)
    assert "no such dead letter" in helix("dead-letters", "redrive", "--kind", "refused", "--run", "kept").output
    requests = rows(database_url, KEPT)["api_calls"]
    assert "1 reads" in helix("dead-letters", "redrive", "101", "--run", "kept", "--yes").output
    assert (
        f"2 reads will be sent again by: helix run --resume {KEPT}"
        in helix("dead-letters", "redrive", "--all", "--run", "kept", "--yes").output
    )
    with psycopg.connect(database_url) as connection:
        (run,) = connection.execute("select dead_letters, status from helix.runs where run_id = %s", [KEPT]).fetchall()
        archived = connection.execute("select read_index, error_kind, row ->> 'disposition' from helix.redriven order by 1").fetchall()
    assert run == (0, "stopped")
    assert archived == [(index, "truncated", "dead_letter") for index in (100, 101, 102)]
    assert rows(database_url, KEPT)["reads"] == 50 and rows(database_url, KEPT)["api_calls"] == requests
    assert asyncio.run(go_on(database_url)) == ([(0, 50)], 0)


async def fail(url: str, indices: list[int]) -> None:
    block = make_source(Config()).block(2)
    assert block is not None
    reads = [read for read in block.rows() if read.read_index in indices]
    ledger = PostgresLedger(url)
    await ledger.write_batch(
        KEPT, [dead_lettered(answered(read), "truncated", "the answer was cut off") for read in reads], [call(7, indices)]
    )
    await ledger.aclose()


async def go_on(url: str) -> tuple[list[tuple[int, int]], int]:
    """A run in a restored database: its rows are known, so none is asked for again, and a request can be intended."""
    ledger = PostgresLedger(url)
    await ledger.migrate()
    await ledger.resume_run(KEPT, RunRow(KEPT, "kept", Config().model_dump_json(), "h", 1, {}, None, datetime.now(UTC), "emulator", True))
    done = await ledger.done_ranges(KEPT)
    refused = await ledger.intend(KEPT, [Intent(call(9, [77]))])
    await ledger.aclose()
    return list(done), len(refused)
