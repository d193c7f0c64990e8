"""A driver that is killed leaves nothing running: the guard outlives it."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from helix_ray.environment.ray_sessions import make_ray_folder, sessions
from helix_ray.storage.embedded import postmaster

DRIVER = """
import os, subprocess, sys
from pathlib import Path
from helix_ray.environment.ray_sessions import make_ray_folder
from helix_ray.session.guard import Guard
from helix_ray.storage.embedded import embedded_url

home = Path(sys.argv[1])
with Guard(home):
    embedded_url(home)
    session = make_ray_folder(home) / f"session_2026-01-01_00-00-00_000001_{os.getpid()}"
    session.mkdir()
    with (session / "agent.out").open("w") as log:
        agent = subprocess.Popen(["sleep", "600"], stdout=log, start_new_session=True)
    print(agent.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_driver_started_is_ended(
    number: signal.Signals, passable_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(passable_home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=Path(__file__).parents[2],
    )
    assert driver.stdout is not None
    agent = psutil.Process(int(driver.stdout.readline()))
    guards = [process for process in psutil.process_iter() if _is_guard(process, passable_home)]
    assert len(guards) == 1
    assert postmaster.find(passable_home / "postgres") is not None

    driver.send_signal(number)
    driver.communicate(timeout=60)
    guards[0].wait(timeout=60)
    agent.wait(timeout=60)
    assert postmaster.find(passable_home / "postgres") is None
    assert len(sessions(make_ray_folder(passable_home))) == 1


def _is_guard(process: psutil.Process, home: Path) -> bool:
    try:
        return process.cmdline()[-2:-1] == [str(home)] and process.cwd() == "/"
    except psutil.Error:
        return False
