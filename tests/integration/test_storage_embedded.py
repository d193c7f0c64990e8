"""The server of a HELIX_HOME: created, joined, left, and cleared up after those who were killed."""

import errno
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from helix_ray.errors import DatabaseUnavailableError
from helix_ray.storage.embedded import EmbeddedServer, binaries, embedded_url, kept_running, postmaster, stop
from helix_ray.storage.embedded import server as embedded_server
from support.imported import HEAVY, PROFILED, imported

FAST = {"fsync": "off"}
HOLD = """
import sys
from pathlib import Path
from helix_ray.storage.embedded import embedded_url
print(embedded_url(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""

as_root = os.geteuid() == 0


@pytest.fixture
def home(passable_home: Path) -> Iterator[Path]:
    yield passable_home
    stop(passable_home)


def holder(home: Path) -> subprocess.Popen[str]:
    """Another process that holds the server until its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", HOLD, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql://")
    return process


def release(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=60)
    assert process.returncode == 0


def ask(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select 1").fetchone()
    assert row is not None
    return int(row[0])


def test_the_last_to_leave_stops_the_server(home: Path) -> None:
    url = embedded_url(home)
    assert embedded_url(home) == url
    server = EmbeddedServer(home)
    other = holder(home)
    stop(home)
    assert ask(url) == 1, "the other process still holds it"
    release(other)
    assert not_running(server)
    assert embedded_url(home) == url
    assert ask(url) == 1
    stop(home)
    stop(home)
    assert not_running(server)


def not_running(server: EmbeddedServer) -> bool:
    return not (server.data / "postmaster.pid").exists()


def test_holders_that_were_killed_are_no_holders(home: Path) -> None:
    dead = holder(home)
    dead.send_signal(signal.SIGKILL)
    dead.communicate(timeout=60)
    url = embedded_url(home)
    assert ask(url) == 1
    stop(home)
    assert not_running(EmbeddedServer(home))
    assert list((home / "postgres-holders").iterdir()) == []


def test_a_server_that_was_killed_comes_back(home: Path) -> None:
    url = embedded_url(home)
    pid = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGQUIT)  # as an immediate shutdown: its own processes end with it
    server = embedded_server._held[home]
    while server.is_running():
        continue
    assert embedded_url(home) == url
    assert ask(url) == 1


def test_a_server_that_dies_while_it_is_needed_is_started_again(home: Path) -> None:
    url = embedded_url(home)
    with kept_running(home):
        for _ in range(2):
            before = pid = postmaster.find(home / "postgres")
            assert before is not None
            os.kill(before, signal.SIGKILL)
            while pid in (before, None):
                pid = postmaster.find(home / "postgres")
            until_answered(url)
    assert embedded_url(home) == url
    stop(home)
    assert not_running(EmbeddedServer(home))


def until_answered(url: str) -> None:
    """The test's timeout is the limit."""
    while True:
        try:
            assert ask(url) == 1
        except psycopg.OperationalError:
            continue
        return


@pytest.mark.parametrize("name", ["sleep", "postgres"])
def test_a_number_that_now_belongs_to_another_process_is_not_the_servers(home: Path, tmp_path: Path, name: str) -> None:
    """As after a restart of the machine. The other process is of the server's own user, and may even have its name."""
    url = embedded_url(home)
    pid_file = home / "postgres" / "postmaster.pid"
    text = pid_file.read_text()
    own = pid_file.stat()
    EmbeddedServer(home).halt("immediate")
    (home / "program").mkdir(mode=0o755)
    shutil.copy("/bin/sleep", home / "program" / name)
    foreign = subprocess.Popen([home / "program" / name, "600"], user=own.st_uid, cwd="/")
    for mark in (pid_file, home / "postgres" / f"{postmaster.SOCKET_NAME}.lock"):
        mark.write_text(text.replace(text.splitlines()[0], str(foreign.pid), 1))
        os.chown(mark, own.st_uid, own.st_gid)
    try:
        assert embedded_url(home) == url
        assert ask(url) == 1
        stop(home)
        assert foreign.poll() is None
    finally:
        foreign.kill()
        assert foreign.wait(60) == -signal.SIGKILL


def test_a_server_without_living_holders_can_be_stopped_by_anyone(home: Path) -> None:
    dead = holder(home)
    EmbeddedServer(home).halt_unless_held()
    assert EmbeddedServer(home).is_running()
    dead.kill()
    dead.communicate(timeout=60)
    EmbeddedServer(home).halt_unless_held()
    assert not_running(EmbeddedServer(home))


def test_the_users_own_settings_of_libpq_do_not_lead_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "5433", "PGHOSTADDR": "127.0.0.1", "PGSERVICE": "none", "PGREQUIREAUTH": "scram-sha-256"}.items():
        monkeypatch.setenv(name, value)
    assert ask(embedded_url(home)) == 1


def test_a_creation_that_was_interrupted_leaves_nothing_behind(home: Path) -> None:
    partial = home / "postgres.partial"
    partial.mkdir()
    (partial / "half").write_text("of a database")
    assert ask(embedded_url(home)) == 1
    assert not partial.exists()


def test_odd_and_long_paths() -> None:
    parent = Path(tempfile.mkdtemp(prefix="it's a home, ", dir="/tmp"))
    parent.chmod(0o711)
    deep = parent / ("d" * 90)
    deep.mkdir(mode=0o711)
    try:
        for home in (parent / "h", deep / "h"):
            server = EmbeddedServer(home, FAST)
            server.join()
            assert ask(server.url) == 1
            server.leave()
            shutil.rmtree(server._socket_folder(), ignore_errors=True)
    finally:
        shutil.rmtree(parent)


def test_a_path_that_a_shell_would_change(home: Path) -> None:
    with pytest.raises(DatabaseUnavailableError, match="set HELIX_HOME"):
        embedded_url(home / "$HOME")


def test_a_folder_that_is_no_database_is_left_alone(home: Path) -> None:
    (home / "postgres").mkdir()
    (home / "postgres" / "notes.txt").write_text("mine")
    with pytest.raises(DatabaseUnavailableError, match="is not a database of PostgreSQL"):
        embedded_url(home)
    assert (home / "postgres" / "notes.txt").read_text() == "mine"


def test_a_database_of_another_version_is_left_alone(home: Path) -> None:
    (home / "postgres").mkdir()
    (home / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(DatabaseUnavailableError, match="made by PostgreSQL 12"):
        embedded_url(home)
    shutil.rmtree(home / "postgres")


def test_a_home_that_cannot_be_written(home: Path) -> None:
    (home / "file").write_text("")
    with pytest.raises(DatabaseUnavailableError, match="set HELIX_HOME"):
        embedded_url(home / "file" / "home")


def test_below_a_closed_folder_roots_server_keeps_its_data_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root starts the server as another user, who may not enter; anyone else's server runs as that user."""
    monkeypatch.setattr(embedded_server, "DATA_DIRS", home / "data")
    closed = home / "private"
    closed.mkdir(mode=0o700)
    for _ in range(2):
        server = EmbeddedServer(closed / "home", FAST)
        server.join()
        assert ask(server.url) == 1
        server.leave()
    assert (closed / "home" / "postgres").is_symlink() is as_root
    assert (closed / "home" / "postgres" / "PG_VERSION").exists()
    assert closed.stat().st_mode & 0o777 == 0o700


def test_programs_that_the_server_cannot_reach_are_copied(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when root installed the package below /root."""
    closed = home / "private"
    closed.mkdir(mode=0o700)
    package = binaries.package_folder()
    hidden = closed / binaries.PACKAGE
    for part in ("bin", "lib", "share"):
        shutil.copytree(package / binaries.INSTALLATION / part, hidden / binaries.INSTALLATION / part, symlinks=True)
    shutil.copytree(package.parent / binaries.LIBRARIES, closed / binaries.LIBRARIES, symlinks=True)
    monkeypatch.setattr(binaries, "package_folder", lambda: hidden)
    programs = binaries.programs(home)
    assert (programs == hidden / binaries.INSTALLATION / "bin") is not as_root
    server = EmbeddedServer(home, FAST)
    server.join()
    assert ask(server.url) == 1
    server.leave()
    assert closed.stat().st_mode & 0o777 == 0o700


def test_what_is_shown_is_what_the_failed_start_said(home: Path) -> None:
    server = EmbeddedServer(home, FAST)
    server.join()
    server.leave()
    with pytest.raises(DatabaseUnavailableError, match=r"invalid value for parameter .shared_buffers") as caught:
        EmbeddedServer(home, {"shared_buffers": "none"}).join()
    assert "ready to accept connections" not in str(caught.value)


def test_the_server_has_user_and_groups_of_one_user_whatever_the_umask(home: Path) -> None:
    """Root's server may not keep root's group, which would also shut it out of a folder that only others may pass."""
    before = os.umask(0o077)
    try:
        server = EmbeddedServer(home / "of" / "its own", FAST)
        server.home.parent.mkdir(mode=0o711)
        server.home.parent.chmod(0o711)
        server.join()
    finally:
        os.umask(before)
    pid = postmaster.find(server.data)
    assert pid is not None
    user = pwd.getpwnam(binaries.SYSTEM_USER) if as_root else pwd.getpwuid(os.geteuid())
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    server.leave()
    assert set(status["Uid"].split()) == {str(user.pw_uid)}
    if as_root:
        assert (set(status["Gid"].split()), status["Groups"].split()) == ({str(user.pw_gid)}, [])


def test_a_user_without_an_entry_is_told_before_anything_is_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", dict[int, str]().__getitem__)
    with pytest.raises(DatabaseUnavailableError, match=f"user {os.geteuid()} has no entry in the list of users"):
        embedded_url(home)
    assert not [*home.glob("postgres*/*")]


def test_marks_that_another_user_left_are_no_holders(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedServer(home, FAST)
    server.join()
    mark = home / "postgres-holders" / "4194304"
    mark.touch()
    opened = Path.open

    def denied(path: Path, *arguments: Any, **named: Any) -> Any:
        if path == mark:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", denied)
    server.leave()
    assert not mark.exists()
    assert not_running(server)


def test_the_command_line(home: Path) -> None:
    environment = {**os.environ, **PROFILED, "HELIX_HOME": str(home)}

    def helix_db(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from helix_ray.cli.db import app; app()", *arguments]
        return subprocess.run(
            command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120, check=False
        )

    printed = helix_db("url")
    assert printed.returncode == 0, printed.stderr
    assert ask(printed.stdout.strip()) == 1, "it goes on after the command"
    assert "schema helix" in printed.stderr
    assert not imported(printed.stderr) & (HEAVY | {"ray"})
    with holding(home):
        shell = helix_db("shell", "--", "-XAtc", "select 6 * 7")
        assert (shell.returncode, shell.stdout.strip()) == (0, "42"), shell.stderr
    assert helix_db("stop").returncode == 0
    assert not_running(EmbeddedServer(home))


@contextmanager
def holding(home: Path) -> Iterator[None]:
    embedded_url(home)
    yield
    stop(home)
