"""A run that is over: where it is looked for, and what the page gets to show of it."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from helix_ray.client import HelixClient, past_run
from helix_ray.client.past_run import database_url, snapshot_from
from helix_ray.config import Config
from helix_ray.environment.run_file import Database, RunFile
from helix_ray.errors import AttachError, MissingSecretError
from helix_ray.metrics.history import as_columns
from helix_ray.metrics.snapshot import HistoryPoint
from helix_ray.records import Action, Command, ControlEvent, ControlOutcome, Disposition, Read, ReadResult, RunStatus, ScoredVariant
from helix_ray.results.files import report_path
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


async def test_what_a_run_that_is_over_does_not_know_is_none_and_what_its_report_knows_is_not() -> None:
    ledger, config = MemoryLedger(), Config()
    await ledger.start_run(RunRow(RUN_ID, "demo", config.to_json(), config.sha256(), 1, {}, None, NOW, "emulator", True))
    variants = [ScoredVariant("call", 4, "T", "A", "SNV", None, 0.9, "ok", "TP", None)]
    read = Read(0, "hx0", "chr1", 7, "+", "ACGT", "ACGA", None, (), True, None, None, None)
    result = ReadResult(read, Disposition.STORED, variants, True, cost_usd=Decimal("0.5"), finished_at=NOW)
    await ledger.write_batch(RUN_ID, [result], [])
    await ledger.record_control(RUN_ID, ControlEvent("r", "rate", "page", NOW, value_to='{"rate_per_s": 5.0}'))
    await ledger.finish_run(RUN_ID, RunStatus.STOPPED, {"max_queue_depth": 500, "queue_capacity": 500, "blocked_seconds": 12.5})
    snapshot = await snapshot_from(ledger, RUN_ID)
    assert snapshot is not None
    queue, totals = snapshot.queue, snapshot.totals
    assert (queue.max_queue_depth, queue.blocked_seconds, queue.waiting, queue.blocked, queue.max_held) == (500, 12.5, None, None, None)
    assert (totals.retries, totals.lenient, snapshot.money.reserved_usd, snapshot.eta_s) == (None, None, None, None)
    (alert,), (command,) = snapshot.recent_alerts, snapshot.commands
    assert (alert.ref_start, alert.ref_seq, alert.seq, alert.verdict, alert.cost_usd) == (7, "ACGT", "ACGA", None, 0.5)
    assert [(mark.pos, mark.kind) for mark in alert.marks] == [(4, "found")]
    assert (command.action, command.value, command.accepted) == ("rate", 5, None)
    assert snapshot.progress == 1 / 2000


def test_the_curve_of_a_past_run_is_in_its_report(tmp_path: Path) -> None:
    points = [HistoryPoint(NOW.timestamp() + second, second, 0, 0, None, None, 1.5, None, None, False, None) for second in range(3)]
    assert HelixClient(tmp_path).past_history(RUN_ID) == []
    report_path(tmp_path, RUN_ID).parent.mkdir()
    report_path(tmp_path, RUN_ID).write_text(json.dumps({"history": as_columns(points)}))
    assert HelixClient(tmp_path).past_history(RUN_ID) == points


def test_a_command_in_the_last_second_is_answered_from_its_record(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note("embedded").write(home)
    RunFile.remove(home)
    (home / "postgres").mkdir()
    ledger = MemoryLedger()
    asyncio.run(ledger.record_control(RUN_ID, ControlEvent("known", "pause", "page", NOW, value_to='{"paused": true}')))
    asyncio.run(ledger.mark_control("known", ControlOutcome(True, "running → paused")))
    monkeypatch.setattr(past_run, "with_ledger", lambda url, use, *deadlines: asyncio.run(use(ledger)))
    answer = HelixClient(home).send(Command("known", Action.PAUSE))
    assert (answer.accepted, answer.message, answer.version) == (True, "running → paused", 1)
    with pytest.raises(AttachError, match="not on record, so nothing was done"):
        HelixClient(home).send(Command("never arrived", Action.PAUSE))


async def test_a_run_that_nobody_knows_is_none() -> None:
    assert await snapshot_from(MemoryLedger(), RUN_ID) is None
