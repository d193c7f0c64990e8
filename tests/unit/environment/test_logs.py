"""What is written: one JSON line an event, within bounds, without secrets, and never at the cost of the run."""

import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helix_ray.environment import logs
from helix_ray.environment.logs import Event, RunLog, begin_log, driver_log, event_logger
from helix_ray.environment.secrets import Secret
from test_architecture import ROOT, sources

RUN = "00000000-0000-4000-8000-000000000001"
log = event_logger("helix_ray.somewhere")


@pytest.fixture
def run_log(tmp_path: Path) -> Iterator[RunLog]:
    """What a test begins is ended after it."""
    root, ours = logging.getLogger(), logging.getLogger("helix_ray")
    before, level = list(root.handlers), ours.level
    yield RunLog(tmp_path, RUN, "info", writers=9)
    for handler in [handler for handler in root.handlers if handler not in before]:
        root.removeHandler(handler)
        handler.close()
    ours.setLevel(level)


def lines(run_log: RunLog, pattern: str = "*") -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(run_log.folder.glob(pattern)) for line in path.read_text("ascii").splitlines()]


def test_a_line_has_the_keys_of_its_writer_the_facts_and_the_traceback(run_log: RunLog) -> None:
    begin_log(run_log, "helix-sink", "abc")
    log.debug(Event.REPLY, answer="ACGT")
    try:
        int("broken")
    except ValueError as error:
        log.warning(Event.DEAD_LETTER, read_index=7, actor="nobody", name="é", exc_info=error)
    logging.getLogger("asyncio").warning("slow %s", "task")
    [path] = run_log.folder.iterdir()
    assert path.name == "helix-sink-abc.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    ours, others = lines(run_log)
    assert list(ours) == ["ts", "level", "logger", "event", "run", "actor", "incarnation", "read_index", "name", "traceback"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", ours.pop("ts"))
    assert 'int("broken")' in ours.pop("traceback")
    assert ours == {
        "level": "warning", "logger": "helix_ray.somewhere", "event": "dead_letter", "run": RUN, "actor": "helix-sink",
        "incarnation": "abc", "read_index": 7, "name": "é",
    }  # fmt: skip
    assert (others["event"], others["text"]) == ("message", "slow task")


def test_no_secret_is_written(run_log: RunLog) -> None:
    key, address = Secret("gsk_0123456789"), Secret("postgresql://me:gehéim@host/db")
    begin_log(run_log, "driver", "1")
    try:
        int(key.reveal())
    except ValueError as error:
        told = {"nested": [address.reveal()], "other": "postgresql://you:other@host/db password=third", "of_type": key}
        log.warning(Event.ERROR_HANDLED, facts=told, exc_info=error)
    [text] = [path.read_text() for path in run_log.folder.iterdir()]
    assert not [secret for secret in ("0123456789", "ehéim", "eh\\u00e9im", "other@", "third") if secret in text]
    assert text.count("[hidden]") == 4


def test_files_and_runs_are_bounded_and_the_oldest_closed_files_go(run_log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "RUN_BYTES", 200_000)
    begin_log(run_log, "helix-quiet", "1")
    log.info(Event.ACTOR_STARTED)
    for number in range(2000):
        if number % 100 == 0:
            logging.getLogger().handlers[-1].close()
            logging.getLogger().handlers.pop()
            begin_log(run_log, "helix-queue", f"{number:04}")
        log.info(Event.ERROR_HANDLED, number=number, text="x" * 300)
    sizes = {path.name: path.stat().st_size for path in run_log.folder.iterdir()}
    assert max(sizes.values()) <= 100_000 // 9
    assert 75_000 < sum(sizes.values()) <= 200_000
    assert max(line["number"] for line in lines(run_log, "helix-queue-*")) == 1999


def test_a_file_that_is_written_is_not_removed_to_make_room(run_log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "RUN_BYTES", 0)
    first = begin_log(run_log, "helix-queue", "1")
    log.info(Event.ACTOR_STARTED)
    monkeypatch.setattr(logs, "FILE_BYTES", 0)
    begin_log(run_log, "helix-queue", "2")
    log.info(Event.ACTOR_STARTED)
    assert first is not None
    assert sorted(path.name for path in run_log.folder.iterdir()) == ["helix-queue-1.jsonl", "helix-queue-2.jsonl"]
    logging.getLogger().removeHandler(first)
    first.close()
    begin_log(run_log, "helix-queue", "3")
    log.info(Event.ACTOR_STARTED)
    assert not (run_log.folder / "helix-queue-1.jsonl").exists()


def test_lines_that_cannot_be_written_are_counted(run_log: RunLog) -> None:
    (run_log.home / "logs").write_text("no folder")
    begin_log(run_log, "helix-sink", "abc")
    log.error(Event.OUTAGE_BEGAN)
    log.error(Event.OUTAGE_ENDED)
    (run_log.home / "logs").unlink()
    log.info(Event.ACTOR_STARTED)
    assert [(line["event"], line["dropped"]) for line in lines(run_log)] == [("actor_started", 2)]


def test_an_error_that_comes_again_and_again_is_written_a_few_times_a_minute(run_log: RunLog) -> None:
    handler = begin_log(run_log, "helix-sink", "abc")
    assert handler is not None
    error = OSError("away")
    for second in (*range(50), 100):
        for event, exc_info in ((Event.ERROR_HANDLED, (OSError, error, None)), (Event.DEAD_LETTER, None)):
            record = logging.LogRecord("helix_ray.x", logging.WARNING, "", 0, event, None, exc_info)
            record.created = 1e9 + second
            handler.handle(record)
    written = [line for line in lines(run_log) if line["event"] == "error_handled"]
    assert [line.get("left_out") for line in written] == [*[None] * logs.REPEATS, 50 - logs.REPEATS]
    assert sum(line["event"] == "dead_letter" for line in lines(run_log)) == 51


def test_the_level_holds_for_us_and_no_longer_text_than_one_can_read(run_log: RunLog) -> None:
    begin_log(RunLog(run_log.home, RUN, "debug"), "helix-analyzer-0", "abc")
    log.debug(Event.REPLY, answer="A" * 1_000_000)
    logging.getLogger("httpx").info("a request")
    [line] = lines(run_log)
    assert len(line["answer"]) < logs.LONGEST_TEXT + 100


def test_the_driver_ends_its_log_and_removes_those_of_old_runs(run_log: RunLog) -> None:
    folders = [logs.logs_of(run_log.home) / f"00000000-0000-4000-8000-{number:012}" for number in range(100, 125)]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        (folder / "driver-1.jsonl").touch()
        os.utime(folder, (number, number))
    before = list(logging.getLogger().handlers)
    with driver_log(run_log):
        log.info(Event.SESSION_STARTED)
    assert logging.getLogger().handlers == before
    assert logs.log_folders(run_log.home) == [*folders[-logs.KEPT_RUNS + 1 :], run_log.folder]


def test_the_table_of_events_is_that_of_the_code_and_each_is_logged_somewhere() -> None:
    table = (ROOT / "docs/operations.md").read_text(encoding="utf-8").split("## Logs")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [event.value for event in Event]
    code = "".join(path.read_text(encoding="utf-8") for path in sources("helix_ray"))
    assert not [event for event in Event if f"Event.{event.name}" not in code]
