"""``helix rescore`` on a stored run: equal scores, or the reads that differ and exit code 1."""

import asyncio
import uuid
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from helix_ray.cli import app
from helix_ray.config import Config
from helix_ray.storage.ledger import RunRow
from helix_ray.storage.postgres import PostgresLedger
from support.scored_results import answered, scored_results

RUN_ID = str(uuid.UUID(int=12))


async def _store(url: str) -> int:
    results = [answered(made.read) for made in scored_results(40, seed=6) if made.read.disposition is None]
    ledger = PostgresLedger(url)
    config = Config().model_dump_json()
    await ledger.start_run(RunRow(RUN_ID, "n", config, "h", 1, {}, None, datetime(2026, 1, 1, tzinfo=UTC), "emulator", True))
    await ledger.write_batch(RUN_ID, results, [])
    await ledger.aclose()
    return len(results)


def test_a_run_is_scored_again(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HELIX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATABASE_URL", database_url)
    count = asyncio.run(_store(database_url))
    equal = CliRunner().invoke(app, ["rescore", "--run", RUN_ID])
    assert equal.exit_code == 0, equal.output
    assert "EMULATOR RESULTS" in equal.output
    assert f"{count} reads scored again: every score equals what is stored" in equal.output
    monkeypatch.setenv("DATABASE_URL", database_url)  # the command withdrew it from the environment
    with psycopg.connect(database_url) as connection:
        connection.execute("update helix.reads set residual_edits = residual_edits + 1 where read_index < 12")
        before = connection.execute("select * from helix.reads order by read_index").fetchall()
        changed = connection.execute("select count(*) from helix.reads where read_index < 12").fetchone()
    assert changed is not None
    other = CliRunner().invoke(app, ["rescore", "--run", RUN_ID])
    assert other.exit_code == 1
    assert f"{changed[0]} of {count} reads are stored with another score:" in other.output
    assert "read 0: residual_edits" in other.output
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select * from helix.reads order by read_index").fetchall() == before, "nothing is changed"
