"""What people read: the files of a run as one sequence."""

import json
import time
from pathlib import Path

import pytest

from helix_ray.environment.logs import LogReader, find_log, for_people, last_driver, shown
from helix_ray.errors import ConfigError

FIRST, SECOND = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000001"


def line(second: int, actor: str = "helix-queue", event: str = "actor_died", **facts: object) -> str:
    start = {"ts": f"2026-01-01T00:00:{second:02}.000000Z", "level": "info", "event": event, "actor": actor, "incarnation": "a1"}
    return json.dumps(start | facts) + "\n"


def test_files_are_merged_by_time_and_each_line_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a-1.jsonl").write_text(line(1) + line(4) + "half a li")
    (tmp_path / "b-1.jsonl").write_text(line(2) + "{broken\n" + line(3))
    reader = LogReader(tmp_path)
    assert [found["ts"][17:19] for found in reader.new_lines()] == ["01", "02", "03", "04"]
    (tmp_path / "a-1.jsonl").rename(tmp_path / "a-1.jsonl.1")  # full
    (tmp_path / "a-1.jsonl").write_text(line(6))
    with (tmp_path / "b-1.jsonl").open("a") as file:
        file.write(line(5))
    assert [found["ts"][17:19] for found in reader.new_lines()] == ["05", "06"]


def test_a_line_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    traceback = "Traceback\n  File\nDatabaseLostError: it\x1b[2J is gone"
    found = json.loads(line(3, "helix-sink", "outage_began", level="warning", attempts=2, text="two words", traceback=traceback))
    head = '00:00:03.000 WARNING sink       outage began: attempts=2 text="two words" error="DatabaseLostError: it'
    assert for_people(found) == head + '\\u001b[2J is gone"'
    assert for_people(found, tracebacks=True).splitlines()[-1] == "    | DatabaseLostError: it\\x1b[2J is gone"


@pytest.mark.parametrize(
    ("actor", "level", "seen"),
    [(None, "info", True), ("analyzer", "info", True), ("helix-analyzer-12", "debug", True), ("analyzer-1", "info", False),
     ("queue", "info", False), (None, "warning", False)],
)  # fmt: skip
def test_what_is_shown(actor: str | None, level: str, seen: bool) -> None:
    assert shown(json.loads(line(1, "helix-analyzer-12")), actor, level) is seen


def test_a_run_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are no logs"):
        find_log(tmp_path, None)
    for run in (FIRST, SECOND):
        (tmp_path / "logs" / run).mkdir(parents=True)
    assert find_log(tmp_path, "11").name == FIRST
    assert find_log(tmp_path, None) == find_log(tmp_path, "last")
    with pytest.raises(ConfigError, match=f"name one of: .*{SECOND}"):
        find_log(tmp_path, "3")


def test_a_driver_that_died_is_known_by_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "driver-77-ab.jsonl"
    assert last_driver(tmp_path) is None
    path.write_text(line(1, "driver", "session_started") + line(2, "driver", "ending"))
    found = last_driver(tmp_path)
    assert found is not None
    assert found["ts"] == "2026-01-01T00:00:02.000000Z"
    path.write_text(line(1, "driver", "session_started") + line(2, "driver", "session_ended"))
    assert last_driver(tmp_path) is None
