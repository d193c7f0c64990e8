"""The folder of a run: its lock and its run file."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from helix_ray.environment.home import helix_home
from helix_ray.environment.lock import HomeLock
from helix_ray.environment.run_file import RunFile
from helix_ray.errors import HomeBusyError


def note() -> RunFile:
    return RunFile.for_this_process("run-1", "127.0.0.1:1", "helix", None, "/token")


def test_the_note_says_where_the_rows_are_but_not_how_to_get_there(tmp_path: Path) -> None:
    RunFile.for_this_process("run-1", "127.0.0.1:1", "helix", None, "/token", database="external").write(tmp_path)
    found = RunFile.read(tmp_path)
    assert found is not None
    assert found.database == "external"
    assert "postgresql" not in (tmp_path / "run.json").read_text()


def test_the_home_is_named_by_the_environment_or_lies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert helix_home({}) == tmp_path / ".helix"
    assert helix_home({"HELIX_HOME": "here"}) == tmp_path / "here"
    assert helix_home({"HELIX_HOME": "/far"}) == Path("/far")


def test_the_note_is_private_and_comes_back_as_it_was(tmp_path: Path) -> None:
    home = tmp_path / "home"
    note().write(home)
    assert RunFile.read(home) == note()
    assert (home / "run.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.iterdir()] == ["run.json"]
    assert note().is_live()


def test_a_removed_note_still_tells_which_run_was_the_last(tmp_path: Path) -> None:
    note().write(tmp_path)
    RunFile.remove(tmp_path)
    RunFile.remove(tmp_path)
    assert RunFile.read(tmp_path) is None
    assert RunFile.read_last(tmp_path) == note()


def test_a_recycled_process_number_is_not_the_run(tmp_path: Path) -> None:
    assert not replace(note(), started_at=1.0).is_live()
    assert not replace(note(), pid=2**22 + 1).is_live()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"text"', '{"pid": 1}'])
def test_a_damaged_note_is_no_note(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    assert RunFile.read(tmp_path) is None


def test_a_home_has_one_run(tmp_path: Path) -> None:
    with HomeLock(tmp_path):
        note().write(tmp_path)
        with pytest.raises(HomeBusyError, match=f"run-1 .process {os.getpid()}"):
            HomeLock(tmp_path).acquire()
    lock = HomeLock(tmp_path)
    lock.release()
    lock.acquire()
    lock.release()
    lock.release()
