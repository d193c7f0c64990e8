"""``helix logs`` prints what there is, follows what comes, and tells of a driver that was killed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helix_ray.cli import app, logs
from helix_ray.environment.run_file import RunFile
from helix_ray.errors import ConfigError

RUN = "11111111-0000-4000-8000-000000000001"


def line(second: int, actor: str, event: str, level: str = "info") -> str:
    ts = f"2026-01-01T00:00:{second:02}.000000Z"
    return json.dumps({"ts": ts, "level": level, "event": event, "actor": actor, "incarnation": "77-ab"}) + "\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELIX_HOME", str(tmp_path))
    return tmp_path / "logs" / RUN


def test_without_logs_it_says_so_and_ends_with_2(folder: Path) -> None:
    error = CliRunner().invoke(app, ["logs"]).exception
    assert isinstance(error, ConfigError)
    assert error.exit_code == 2


def test_the_log_is_followed_until_the_run_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True)
    path = folder / "driver-77-ab.jsonl"
    path.write_text(line(1, "driver", "session_started") + line(2, "driver", "reply", "debug"))
    RunFile.for_this_process(RUN, "", "", None, None).write(folder.parents[1])

    def next_look(_: float) -> None:
        with path.open("a") as file:
            file.write(line(3, "driver", "ending"))
        (folder / "helix-queue-cd.jsonl").write_text(line(4, "helix-queue", "redelivered", "warning"))
        RunFile.remove(folder.parents[1])

    monkeypatch.setattr(logs.time, "sleep", next_look)
    result = CliRunner().invoke(app, ["logs", "11", "--follow"])
    assert [row.split()[2:] for row in result.stdout.splitlines()[1:]] == [
        ["driver", "session", "started"], ["driver", "ending"], ["queue", "redelivered"],
    ]  # fmt: skip
    assert "the driver (incarnation 77-ab) ended without a word at about 20" in result.stderr
    assert "queue" not in CliRunner().invoke(app, ["logs", "--actor", "driver"]).stdout
    refused = CliRunner().invoke(app, ["logs", "--actor", "nosuch"]).exception
    assert "nosuch has no log in run" in str(refused)
    assert "those that have: driver, queue" in str(refused)
