"""A run that is over: where it is looked for, and what the page gets to show of it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from helix_ray.client import past_run
from helix_ray.client.past_run import database_url, snapshot_from
from helix_ray.config import Config
from helix_ray.environment.run_file import Database, RunFile
from helix_ray.errors import MissingSecretError
from helix_ray.records import Disposition, Read, ReadResult, RunStatus
from helix_ray.storage.ledger import RunRow
from support.memory_ledger import MemoryLedger

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RUN_ID = "7d0c3a52-0000-4000-8000-000000000001"
URL = "postgresql://me@db/helix"


def note(database: Database) -> RunFile:
    return RunFile.for_this_process(RUN_ID, "127.0.0.1:1", "helix", None, None, database=database)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(past_run, "embedded_url", lambda home: f"embedded in {home}")
    return tmp_path


def test_a_run_is_looked_for_where_it_was_stored(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert database_url(home, note("embedded")) is None
    (home / "postgres").mkdir()
    assert database_url(home, note("embedded")) == f"embedded in {home}"
    with pytest.raises(MissingSecretError, match=f"DATABASE_URL is missing: the last run, {RUN_ID}"):
        database_url(home, note("external"))
    monkeypatch.setenv("DATABASE_URL", URL)
    assert database_url(home, note("external")) == URL
    assert database_url(home, note("embedded")) == f"embedded in {home}"


async def test_a_dead_letter_has_its_name_and_its_kind() -> None:
    ledger, config = MemoryLedger(), Config()
    await ledger.start_run(RunRow(RUN_ID, "demo", config.to_json(), config.sha256(), 1, {}, None, NOW, "emulator", True))
    read = Read(7, "SRR1.7", "chr1", 0, "+", "ACGT", "ACGA", None, (), False, None, None, None)
    await ledger.write_batch(RUN_ID, [ReadResult(read, Disposition.DEAD_LETTER, [], error_kind="schema_error", finished_at=NOW)], [])
    await ledger.finish_run(RUN_ID, RunStatus.COMPLETE, {})
    snapshot = await snapshot_from(ledger, RUN_ID)
    assert snapshot is not None
    (shown,) = snapshot.recent_reads
    assert (shown.read_id, shown.disposition, shown.error_kind) == ("SRR1.7", "dead_letter", "schema_error")
    assert (snapshot.state, snapshot.run.backend, snapshot.run.simulated) == ("COMPLETE", "emulator", True)


async def test_a_run_that_nobody_knows_is_none() -> None:
    assert await snapshot_from(MemoryLedger(), RUN_ID) is None
