"""The folder of a run: its lock and its run file."""

import errno
import os
import pwd
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from helix_ray.environment.home import helix_home, open_lock, temporary_folder
from helix_ray.environment.lock import HomeLock
from helix_ray.environment.run_file import RunFile
from helix_ray.errors import AttachError, HomeBusyError, StartError


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


def test_a_run_of_a_cluster_is_found_by_its_address() -> None:
    found = RunFile.of_cluster("10.0.0.1:6379/second")
    assert (found.ray_address, found.namespace, found.run_id, found.is_live()) == ("10.0.0.1:6379", "second", "", False)
    assert RunFile.of_cluster("head:6379").namespace == "helix"
    with pytest.raises(AttachError, match=r"ray://head:10001: a cluster is named as HOST:PORT"):
        RunFile.of_cluster("ray://head:10001")


def test_a_recycled_process_number_is_not_the_run(tmp_path: Path) -> None:
    assert not replace(note(), started_at=1.0).is_live()
    assert not replace(note(), pid=2**22 + 1).is_live()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"text"', '{"pid": 1}'])
def test_a_damaged_note_is_no_note(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    assert RunFile.read(tmp_path) is None


def test_a_home_that_is_no_folder_or_another_users_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("file", "run.json"):
        (tmp_path / name).touch()
    with pytest.raises(AttachError, match=r"run.json cannot be read: Not a directory; set HELIX_HOME"):
        RunFile.read(tmp_path / "file")
    with pytest.raises(StartError):
        HomeLock(tmp_path / "file").acquire()

    def denied(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_text", denied)
    monkeypatch.setattr(os, "open", denied)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    note = f"; it belongs to {tmp_path.owner()}: run as that user"
    with pytest.raises(AttachError, match=f"cannot be read: Permission denied{note}"):
        RunFile.read(tmp_path)
    with pytest.raises(StartError, match=f"cannot be opened: Permission denied{note}"):
        HomeLock(tmp_path).acquire()


def test_the_home_of_another_user_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root could use it, and would leave files behind that its owner could not open."""
    with HomeLock(tmp_path):
        pass
    before = [*tmp_path.iterdir()]
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StartError, match=f"cannot be used; it belongs to {tmp_path.owner()}: run as that user, or set HELIX_HOME"):
        HomeLock(tmp_path).acquire()
    monkeypatch.setattr(pwd, "getpwuid", dict[int, str]().__getitem__)
    with pytest.raises(StartError, match=f"it belongs to user {os.getuid()}: "):
        open_lock(tmp_path / "lock")
    assert [*tmp_path.iterdir()] == before


def test_a_folder_for_sockets_is_short_and_can_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert temporary_folder(len(str(tmp_path))) == tmp_path
    assert temporary_folder(len(str(tmp_path)) - 1) == Path("/tmp")
    tmp_path.chmod(0o700)
    assert temporary_folder(200, for_others=True) == Path("/tmp")
    with pytest.raises(StartError, match="set TMPDIR to a shorter path, of at most 3 bytes"):
        temporary_folder(3)

    def none_to_write_to() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none_to_write_to)
    with pytest.raises(StartError, match="set TMPDIR"):
        temporary_folder(200)


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
