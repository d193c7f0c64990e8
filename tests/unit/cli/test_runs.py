"""The list of stored runs, whole on a narrow terminal."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from helix_ray.cli import runs
from helix_ray.records import RunStatus
from helix_ray.storage.ledger import RunSummary
from support.ledger_values import RUN_ID


def test_each_run_has_a_line_that_is_not_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stored = RunSummary(RUN_ID, "ward 7", "groq", True, RunStatus.LIMITED, 1500, Decimal("0.25"), datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    monkeypatch.setattr(runs, "list_runs", lambda: [stored])
    monkeypatch.setenv("COLUMNS", "40")
    runs.print_runs()
    head, line = capsys.readouterr().out.splitlines()
    assert line == f"{RUN_ID}  ward 7  limited  groq (simulated)  1,500  $0.2500  2026-01-02 03:04  yes"
    assert head.index("name") == line.index("ward 7")
    runs.print_runs(as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "run_id": RUN_ID, "name": "ward 7", "status": "limited", "backend": "groq", "simulated": True, "rows": 1500, "cost_usd": 0.25,
        "started_at": "2026-01-02T03:04:00+00:00", "resumable": True,
    }  # fmt: skip
