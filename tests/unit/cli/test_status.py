"""``helix status --watch``: until the run has ended, and truly at its end."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helix_ray.cli import app, status
from helix_ray.errors import AttachError
from helix_ray.metrics.snapshot import MetricsSnapshot, RunInfo
from helix_ray.results.files import report_path

RUNNING = MetricsSnapshot(as_of=1.0, run=RunInfo("run-1"), state="RUNNING")


class Client:
    """Answers with these snapshots; then its driver is gone."""

    def __init__(self, home: Path, *snapshots: MetricsSnapshot) -> None:
        self.home = home
        self.snapshots = [*snapshots]

    def snapshot(self, timeout_s: float = 2.0) -> MetricsSnapshot:
        if not self.snapshots:
            raise AttachError("gone")
        return self.snapshots.pop(0)

    def is_live(self) -> bool:
        return bool(self.snapshots)

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("ending", "reported", "said"),
    [
        (replace(RUNNING, state="COMPLETE", reason="all reads have their row"), False, "COMPLETE: all reads have their row"),
        (RUNNING, True, "STOPPED: drain was asked for"),
        (RUNNING, False, "LAST SEEN RUNNING: no live run: its driver is gone"),
    ],
    ids=["held", "ended", "killed"],
)
def test_a_watch_ends_with_the_run(
    ending: MetricsSnapshot, reported: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(tmp_path, RUNNING, RUNNING, ending)
    monkeypatch.setattr(status, "attach", lambda: client)
    monkeypatch.setattr(status, "INTERVAL_S", 0.0)
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as the command does, which must not outlast this test
    if reported:
        report_path(tmp_path, "run-1").parent.mkdir()
        report_path(tmp_path, "run-1").write_text(json.dumps({"status": "stopped", "reason": "drain was asked for"}))
    result = CliRunner().invoke(app, ["status", "--watch"])
    *lines, last = result.output.splitlines()
    assert result.exit_code == 0
    assert len([line for line in lines if line.startswith("RUNNING: stored 0")]) >= 2
    assert last.startswith(said)
