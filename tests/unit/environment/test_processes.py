"""A signal reaches the process that is meant, or none."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helix_ray.environment.processes import command_line, send_signal, working_folder, written_files


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that says when it runs, and then only waits."""
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", "import time; zero = open('/dev/zero'); print(flush=True); time.sleep(600)"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=out,
        )
    assert process.stdout is not None
    assert process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_a_process_is_known_by_command_folder_and_output(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert command_line(sleeper.pid)[0] == sys.executable
    assert working_folder(sleeper.pid) == tmp_path
    assert str(tmp_path / "out") in written_files(sleeper.pid)
    assert "/dev/zero" not in written_files(sleeper.pid)


def test_only_what_is_known_again_is_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    assert send_signal(sleeper.pid, signal.SIGKILL, lambda pid: command_line(pid)[0] == "postgres", wait_s=0.2)
    assert sleeper.poll() is None
    assert send_signal(sleeper.pid, signal.SIGKILL, lambda pid: command_line(pid)[0] == sys.executable, wait_s=60.0)
    assert sleeper.wait(60) == -signal.SIGKILL


def test_a_process_that_stays_is_not_called_gone(sleeper: subprocess.Popen[bytes]) -> None:
    assert not send_signal(sleeper.pid, signal.SIGCONT, lambda _: True, wait_s=0.0)


def test_a_number_without_a_process_belongs_to_nobody() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(60)
    assert (command_line(gone.pid), working_folder(gone.pid), written_files(gone.pid)) == ([], None, [])
    assert send_signal(gone.pid, signal.SIGKILL, lambda pid: pid != os.getpid())
